package main

import (
	"context"
	"fmt"
	"io"

	"github.com/sullae/sullae/cmd/sullae/internal/batchrun"
	"github.com/sullae/sullae/cmd/sullae/internal/evaluate"
	"github.com/sullae/sullae/cmd/sullae/internal/remote"
	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// evalCmd is `sullae eval`.
type evalCmd struct {
	Perplexity evalPerplexityCmd `cmd:"" help:"How well a served model predicts a text."`
	Choices    evalChoicesCmd    `cmd:"" help:"How often a served model finds the right one of several continuations likeliest."`
	Quant      evalQuantCmd      `cmd:"" help:"What quantizing a model's weights or its KV cache loses, on a text."`
}

// evalFlags say which model is measured and how.
type evalFlags struct {
	GRPC  string `name:"grpc" default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"A coordinator's gRPC address (${default})."`
	Model string `env:"-" placeholder:"NAME" help:"The model, where several are served."`
	accessFlags
	Context     int  `env:"-" placeholder:"N" help:"Most tokens of a sequence; default: the model's context, at most 4096."`
	Concurrency int  `env:"-" default:"16" placeholder:"N" help:"Sequences in flight (${default})."`
	NoSpecial   bool `name:"no-special-tokens" env:"-" help:"Leave out the BOS that the model's files ask for."`
	JSON        bool `name:"json" env:"-" help:"Print one JSON object."`
}

// evaluation is a connection to the measured model.
type evaluation struct {
	cluster *remote.Cluster
	model   *sullaev1.Model
	flags   *evalFlags
	done    evaluate.Done
}

// defaultEvalContext bounds the context where the model's is longer and none is given.
const defaultEvalContext = 4096

func (f *evalFlags) open(ctx context.Context) (*evaluation, error) {
	if f.Concurrency < 1 {
		return nil, fmt.Errorf("--concurrency %d: at least 1", f.Concurrency)
	}
	access, err := f.dial()
	if err != nil {
		return nil, err
	}
	cluster, err := remote.Dial(ctx, f.GRPC, access...)
	if err != nil {
		return nil, err
	}
	model, err := cluster.Model(ctx, f.Model)
	if err == nil && !model.GetHasTokenizer() {
		err = fmt.Errorf("the model %s has no tokenizer: texts can't be measured with it", model.GetId())
	}
	most := int(model.GetMaxModelLen())
	switch {
	case err != nil:
	case f.Context == 0:
		f.Context = min(most, defaultEvalContext)
	case f.Context < 2 || f.Context > most:
		err = fmt.Errorf("--context %d: must be 2 to %d, the context of %s", f.Context, most, model.GetId())
	}
	if err != nil {
		cluster.Close()
		return nil, err
	}
	return &evaluation{cluster: cluster, model: model, flags: f}, nil
}

func (e *evaluation) close() { e.cluster.Close() }

func (e *evaluation) tokenize(ctx context.Context, text string) ([]int32, error) {
	special := !e.flags.NoSpecial
	ids, err := e.cluster.Tokenize(ctx, &sullaev1.TokenizeRequest{
		Model: e.model.GetId(), Input: &sullaev1.TokenizeRequest_Text{Text: text}, AddSpecialTokens: &special,
	})
	return ids, e.cluster.Explain(err)
}

// score is a Scorer: the prompt's own log-probabilities, and nothing generated.
func (e *evaluation) score(ctx context.Context, tokens []int32) ([]float32, error) {
	none := new(int32)
	got, err := e.cluster.Complete(ctx, &sullaev1.GenerateRequest{
		Model: e.model.GetId(), Prompt: &sullaev1.GenerateRequest_TokenIds{TokenIds: &sullaev1.TokenIds{Ids: tokens}},
		Stopping: &sullaev1.Stopping{MaxTokens: none}, Output: &sullaev1.Output{PromptLogprobs: none},
	})
	if err != nil {
		return nil, e.cluster.Explain(err)
	}
	all := got.Prompt.GetLogprobs()
	if len(all) != len(tokens) {
		return nil, fmt.Errorf("the server scored %d of %d tokens", len(all), len(tokens))
	}
	out := make([]float32, 0, len(all)-1)
	for _, l := range all[1:] {
		out = append(out, l.GetLogprob())
	}
	return out, nil
}

// progress shows how much of total sequences is done, until the result is called.
func (e *evaluation) progress(w io.Writer, total int) (end func()) {
	return batchrun.NewProgress(w, screen.IsTerminal(w), func() batchrun.Tally {
		return batchrun.Tally{Total: total, Done: int(e.done.Sequences.Load()), Tokens: e.done.Tokens.Load()}
	}, 0).Close
}
