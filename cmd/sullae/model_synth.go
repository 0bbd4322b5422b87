package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/synth"
)

// modelSynthCmd is `sullae model synth`. Numbers that are not given are the
// preset's.
type modelSynthCmd struct {
	Dir           string   `arg:"" help:"The folder to make; it must be empty or not yet there."`
	Preset        string   `env:"-" required:"" placeholder:"NAME" help:"The shape to begin with: exaone-3.0-7.8b, exaone-4.0-1.2b, exaone-4.0-32b, llama-3.1-8b, mistral-7b-v0.1, qwen2.5-7b, qwen3-8b, gemma-2-9b, phi-3-mini-4k, exaone-1b or tiny."`
	Layers        int      `env:"-" placeholder:"N" help:"Layers."`
	Hidden        int      `env:"-" placeholder:"N" help:"Hidden size."`
	Heads         int      `env:"-" placeholder:"N" help:"Query heads."`
	KVHeads       int      `name:"kv-heads" env:"-" placeholder:"N" help:"KV heads."`
	HeadDim       int      `env:"-" placeholder:"N" help:"Head size; where --hidden or --heads is given, their quotient without this."`
	FFN           int      `name:"ffn" env:"-" placeholder:"N" help:"FFN size."`
	Vocab         int      `env:"-" placeholder:"N" help:"Vocabulary."`
	MaxPositions  int      `env:"-" placeholder:"N" help:"Context length."`
	Tied          bool     `env:"-" help:"Tie the head to the embedding table."`
	DType         string   `name:"dtype" env:"-" enum:"bf16,f16,f32" default:"bf16" help:"Type of the weights: bf16, f16 or f32 (${default})."`
	Seed          uint64   `env:"-" help:"The same seed gives the same bytes (${default})." default:"0"`
	ShardBytes    byteSize `env:"-" placeholder:"SIZE" help:"The most bytes of a file, such as 500MB (5GB)."`
	TokenizerFrom string   `env:"-" placeholder:"DIR" help:"Copy the tokenizer of this folder."`
}

// Run makes the folder.
func (c *modelSynthCmd) Run(ctx context.Context) error { return c.run(ctx, standard()) }

func (c *modelSynthCmd) run(ctx context.Context, std streams) error {
	dtype, ok := tensor.ParseDType(strings.ToUpper(c.DType))
	if !ok {
		return fmt.Errorf("--dtype %s: supported are bf16, f16 and f32", c.DType)
	}
	progress, end := showProgress(ctx, std.err)
	err := synth.Write(ctx, c.Dir, synth.Options{
		Preset: c.Preset, Layers: c.Layers, Hidden: c.Hidden, Heads: c.Heads, KVHeads: c.KVHeads,
		HeadDim: c.HeadDim, FFN: c.FFN, Vocab: c.Vocab, MaxPositions: c.MaxPositions, Tied: c.Tied,
		DType: dtype, Seed: c.Seed, ShardBytes: int64(c.ShardBytes), TokenizerFrom: c.TokenizerFrom,
	}, progress)
	end(err == nil)
	if err != nil {
		return err
	}
	m, err := checkpoint.Open(c.Dir)
	if err != nil {
		return err
	}
	defer m.Close()
	r := inspect(m)
	_, err = io.WriteString(std.out, screen.Printable(fmt.Sprintf("%s: %s parameters, %s in %s\n",
		c.Dir, short(r.Parameters), screen.Bytes(r.Bytes), count(len(r.Files), "file"))))
	return err
}
