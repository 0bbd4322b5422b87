package openai

import (
	"math"

	"github.com/sullae/sullae/coordinator/gateway"
)

// params are what completions and chat have in common.
type params struct {
	gateway.Request
	n            int
	stream       bool
	includeUsage bool
	returnIDs    bool
	// promptScores: the prompt's log-probabilities are wanted in vLLM's shape.
	promptScores bool
	// structureField is the name that the client uses for Structure.
	structureField string
}

func readParams(o *object, id string) *params {
	p := &params{Request: gateway.Request{
		ID:    id,
		Model: o.str("model"),
		N:     o.integer("n"),
		Sampling: gateway.SamplingParams{
			Temperature: o.float("temperature"),
			TopP:        o.float("top_p"),
			TopK:        o.integer("top_k"),
			Seed:        o.seed("seed"),
			MinP:        o.float("min_p"),

			RepetitionPenalty: o.float("repetition_penalty"),
			PresencePenalty:   o.float("presence_penalty"),
			FrequencyPenalty:  o.float("frequency_penalty"),
			LogitBias:         o.biases("logit_bias"),
			BadWords:          o.strings("bad_words"),
		},
		Stopping: gateway.Stopping{
			MaxTokens:    o.integer("max_tokens"),
			Stop:         o.strings("stop"),
			StopTokenIDs: o.ids("stop_token_ids"),
			IgnoreEOS:    o.boolean("ignore_eos", false),
			MinTokens:    o.integer("min_tokens"),
		},
		Output: gateway.Output{KeepSpecialTokens: !o.boolean("skip_special_tokens", true)},
	}}
	if k := p.Sampling.TopK; k != nil && *k == -1 {
		*k = 0 // vLLM's way to say "all"
	}
	p.Structure, p.structureField = o.structure()
	if v := o.integer("priority"); v != nil {
		p.Priority = *v
	}
	p.Tenant = o.str("user")
	p.PromptLookup = o.integer("prompt_lookup_num_tokens")
	p.n = 1
	if p.N != nil {
		p.n = *p.N
	}
	p.stream = o.boolean("stream", false)
	p.returnIDs = o.boolean("return_token_ids", false)
	p.Output.PromptLogprobs = o.integer("prompt_logprobs")
	p.promptScores = p.Output.PromptLogprobs != nil
	if p.promptScores && p.stream {
		o.fail("prompt_logprobs", "is not available with stream: true")
	}
	if raw := o.want("stream_options", "object"); raw != nil {
		opts := subObject(raw)
		p.includeUsage = opts.boolean("include_usage", false)
		if opts.boolean("continuous_usage_stats", false) {
			opts.fail("continuous_usage_stats", "not supported yet")
		}
		if opts.err != nil {
			o.fail("stream_options", "%v", opts.err)
		}
		if !p.stream {
			o.fail("stream_options", "is only allowed with stream: true")
		}
	}
	return p
}

// renameField makes an error name the field that the client used.
func renameField(err error, from, to string) error {
	if fe, ok := err.(*gateway.FieldError); ok && fe.Field == from {
		fe.Field = to
	}
	return err
}

// usage counts tokens as vLLM does: a prompt once, however many choices it has,
// and every generated token, the stop token too.
type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

func (u *usage) add(it gateway.Item) {
	switch {
	case it.Prompt != nil:
		u.PromptTokens += len(it.Prompt.TokenIDs)
	case it.Delta.Finish != nil:
		u.CompletionTokens += it.Delta.Finish.CompletionTokens
	}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
}

// ending fills finish_reason and vLLM's stop_reason: the stop string or the
// stop token that was met; null for EOS.
func ending(f *gateway.Finish) (reason *string, stop any) {
	if f == nil {
		return nil, nil
	}
	name := f.Reason.String()
	switch {
	case f.StopString != "":
		stop = f.StopString
	case f.HasStopToken && !f.EOS:
		stop = f.StopToken
	}
	return &name, stop
}

// minLogprob stands for minus infinity, which JSON doesn't have, as in vLLM.
const minLogprob = -9999

func wireLogprob(f float32) float32 {
	return float32(math.Max(float64(f), minLogprob))
}
