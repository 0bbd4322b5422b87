package main

import (
	"context"
	"errors"
	"os"

	"github.com/sullae/sullae/cmd/sullae/internal/lineedit"
	"github.com/sullae/sullae/cmd/sullae/internal/remote"
	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/cmd/sullae/internal/talk"
)

// chatCmd is `sullae chat`.
type chatCmd struct {
	GRPC   string `name:"grpc" default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"A coordinator's gRPC address (${default})."`
	Model  string `env:"-" placeholder:"NAME" help:"The model to talk to, where several are served."`
	System string `env:"-" placeholder:"TEXT" help:"What the model is told before the conversation."`
	accessFlags
	samplingFlags
	MaxTokens *int32 `env:"-" placeholder:"N" help:"The most tokens of an answer. Default: what is left of the context."`
}

// Help is shown below the flags.
func (chatCmd) Help() string {
	return `In a terminal, /help lists what can be typed besides questions. Where the input
is not a terminal, each of its lines is a turn of one conversation, and the
answers are written to the output, one after another.`
}

// Run holds the conversation.
func (c *chatCmd) Run(ctx context.Context) error { return c.run(ctx, standard()) }

func (c *chatCmd) run(ctx context.Context, std streams) error {
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
	switch {
	case !model.GetHasTokenizer():
		return errors.New("the model " + model.GetId() + " has no tokenizer, so it can't chat: use \"sullae generate --token-ids\"")
	case !model.GetHasChatTemplate():
		return errors.New("the model " + model.GetId() + " has no chat template: use \"sullae generate\"")
	}
	s := &talk.Session{
		Cluster: cluster, Model: model, System: c.System,
		Sampling: c.message(), MaxTokens: c.MaxTokens,
	}
	if !screen.IsTerminal(std.in) || !screen.IsTerminal(std.out) {
		return s.FromScript(ctx, std.in, std.out, std.err)
	}
	t, err := lineedit.Open(std.in.(*os.File), std.out.(*os.File))
	if err != nil {
		return err
	}
	return errors.Join(s.InTerminal(ctx, t, screen.For(std.out)), t.Close())
}
