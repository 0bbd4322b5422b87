package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sullae/sullae/cmd/sullae/internal/remote"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// generateCmd is `sullae generate`.
type generateCmd struct {
	Prompt *string `arg:"" optional:"" help:"The text to continue; - reads it from the input (without the line break at its end)."`
	GRPC   string  `name:"grpc" default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"A coordinator's gRPC address (${default})."`
	Model  string  `env:"-" placeholder:"NAME" help:"The model, where several are served."`
	accessFlags
	samplingFlags
	MaxTokens int32    `env:"-" default:"64" placeholder:"N" help:"The most tokens to generate (${default})."`
	Stop      []string `env:"-" sep:"none" placeholder:"TEXT" help:"End before this text. May be given several times."`
	N         int32    `env:"-" default:"1" placeholder:"N" help:"How many continuations (${default})."`
	Logprobs  *int32   `env:"-" placeholder:"K" help:"Show each token's log-probability, and those of the K likeliest (0 to 20)."`
	TokenIDs  []int32  `name:"token-ids" env:"-" placeholder:"ID" help:"The prompt as token ids, separated by commas."`
	IgnoreEOS bool     `name:"ignore-eos" env:"-" help:"Go on after an end-of-sequence token."`
	JSON      bool     `name:"json" env:"-" help:"Print one JSON object: text, token_ids, logprobs, finish_reason, usage; with --n, a list of choices that have them."`
}

// Run continues the prompt.
func (c *generateCmd) Run(ctx context.Context) error { return c.run(ctx, standard()) }

func (c *generateCmd) run(ctx context.Context, std streams) error {
	req, err := c.request(std.in)
	if err != nil {
		return err
	}
	access, err := c.dial()
	if err != nil {
		return err
	}
	cluster, err := remote.Dial(ctx, c.GRPC, access...)
	if err != nil {
		return err
	}
	defer cluster.Close()
	model, err := cluster.Model(ctx, c.Model)
	if err != nil {
		return err
	}
	if !model.GetHasTokenizer() && req.GetTokenIds() == nil {
		return fmt.Errorf("the model %s has no tokenizer: give the prompt with --token-ids", model.GetId())
	}
	req.Model = model.GetId()
	stream, err := cluster.Generate(ctx, req)
	if err != nil {
		return cluster.Explain(err)
	}
	var show func(*sullaev1.Delta) error
	var finish func() error
	if c.JSON {
		o := &jsonOutput{to: std.out, choices: make([]jsonChoice, c.N)}
		show, finish = o.add, func() error { return o.print(model.GetId(), stream) }
	} else {
		o := newTextOutput(std, int(c.N), !model.GetHasTokenizer(), c.MaxTokens)
		show, finish = o.add, o.end
		defer o.breakLine()
	}
	for d, err := range stream.All() {
		if err != nil {
			return cluster.Explain(err)
		}
		if d.GetIndex() < 0 || d.GetIndex() >= c.N {
			return fmt.Errorf("the server sent choice %d of %d", d.GetIndex(), c.N)
		}
		if err := show(d); err != nil {
			return err
		}
	}
	return finish()
}

// request is the flags as a request.
func (c *generateCmd) request(in io.Reader) (*sullaev1.GenerateRequest, error) {
	req := &sullaev1.GenerateRequest{
		Sampling: c.message(),
		Stopping: &sullaev1.Stopping{MaxTokens: &c.MaxTokens, Stop: c.Stop, IgnoreEos: c.IgnoreEOS},
		Output:   &sullaev1.Output{Logprobs: c.Logprobs},
		N:        &c.N,
	}
	if c.N < 1 {
		return nil, fmt.Errorf("--n %d: at least 1", c.N)
	}
	for _, stop := range c.Stop {
		if !utf8.ValidString(stop) {
			return nil, fmt.Errorf("--stop %q: not UTF-8", stop)
		}
	}
	switch {
	case c.Prompt != nil && c.TokenIDs != nil:
		return nil, errors.New("a prompt and --token-ids: give one of them")
	case c.TokenIDs != nil:
		req.Prompt = &sullaev1.GenerateRequest_TokenIds{TokenIds: &sullaev1.TokenIds{Ids: c.TokenIDs}}
		return req, nil
	case c.Prompt == nil:
		return nil, errors.New("no prompt: give it as an argument, - to read it from the input, or --token-ids")
	}
	text, from := *c.Prompt, "the prompt"
	if text == "-" {
		all, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("the input: %w", err)
		}
		text, from = strings.TrimSuffix(strings.TrimSuffix(string(all), "\n"), "\r"), "the input"
	}
	if text == "" {
		return nil, fmt.Errorf("%s is empty", from)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%s is not UTF-8", from)
	}
	req.Prompt = &sullaev1.GenerateRequest_Text{Text: text}
	return req, nil
}
