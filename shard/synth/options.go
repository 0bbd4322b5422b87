// Package synth makes checkpoints with random weights, in the layout in which
// Hugging Face publishes models: real shapes without the real weights, for
// tests and measurements. A tensor's content is a function of the seed, the
// tensor's name and the index of the value in it, so the same options give the
// same bytes on every machine, whatever the number of cores or files.
package synth

import (
	"fmt"
	"strings"

	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/model"
)

// Options choose the model. Zero values mean the preset's.
type Options struct {
	Preset string // one of Presets

	Layers, Hidden, Heads, KVHeads int
	// HeadDim zero means the preset's or, where Hidden or Heads is given,
	// Hidden / Heads.
	HeadDim                  int
	FFN, Vocab, MaxPositions int
	Tied                     bool         // the head is the embedding table
	DType                    tensor.DType // zero means BF16
	Seed                     uint64

	// ShardBytes is the most tensor bytes in one file (a larger tensor has a
	// file of its own); zero means 5 GB, as Hugging Face cuts.
	ShardBytes int64
	// TokenizerFrom is a folder whose tokenizer files are copied; "" copies
	// none. The tokenizer must fit the vocabulary.
	TokenizerFrom string
}

const defaultShardBytes = 5_000_000_000

// special token ids of EXAONE, where the vocabulary has them.
const (
	padID = 0
	bosID = 1
	eosID = 361
)

// config applies the options to their preset and checks the result as a reader
// would; tok is nil without a tokenizer.
func (o Options) config(tok *tokenizer) ([]byte, *model.Spec, error) {
	p, ok := presets[o.Preset]
	c := p.config
	if !ok {
		return nil, nil, fmt.Errorf("synth: preset %q is not known; known: %s", o.Preset, strings.Join(Presets(), ", "))
	}
	if o.ShardBytes < 0 {
		return nil, nil, fmt.Errorf("synth: shard size %d; a number of bytes from 0 on belongs here", o.ShardBytes)
	}
	for _, set := range []struct {
		to *int
		v  int
	}{
		{&c.Layers, o.Layers}, {&c.Hidden, o.Hidden}, {&c.Heads, o.Heads}, {&c.KVHeads, o.KVHeads},
		{&c.FFN, o.FFN}, {&c.Vocab, o.Vocab}, {&c.MaxPositions, o.MaxPositions},
	} {
		if set.v != 0 {
			*set.to = set.v // a negative value is refused by model.Parse
		}
	}
	switch {
	case o.HeadDim != 0:
		c.HeadDim = o.HeadDim
	case o.Hidden != 0 || o.Heads != 0:
		if c.Heads < 1 || c.Hidden%c.Heads != 0 {
			return nil, nil, fmt.Errorf("synth: hidden size %d is not a multiple of %d heads; give the head size too", c.Hidden, c.Heads)
		}
		c.HeadDim = c.Hidden / c.Heads
	}
	switch o.DType {
	case tensor.Invalid, tensor.BF16:
		c.DType = "bfloat16"
	case tensor.F16:
		c.DType = "float16"
	case tensor.F32:
		c.DType = "float32"
	default:
		return nil, nil, fmt.Errorf("synth: type %v is not supported; supported: F32, BF16, F16", o.DType)
	}
	c.Tied = c.Tied || o.Tied
	c.PAD, c.BOS, c.EOS = padID, min(bosID, c.Vocab-1), min(eosID, c.Vocab-1)
	if tok != nil {
		if tok.size > c.Vocab {
			return nil, nil, fmt.Errorf("synth: the tokenizer in %s has ids up to %d, but the vocabulary has %d; ask for a vocabulary of at least %d", o.TokenizerFrom, tok.size-1, c.Vocab, tok.size)
		}
		c.PAD, c.BOS, c.EOS = tok.id("pad_token", c.PAD), tok.id("bos_token", c.BOS), tok.id("eos_token", c.EOS)
	}
	text, err := p.text(c)
	if err != nil {
		return nil, nil, fmt.Errorf("synth: %w", err)
	}
	spec, err := model.Parse(text, nil, "synth: generated")
	return append(text, '\n'), spec, err
}
