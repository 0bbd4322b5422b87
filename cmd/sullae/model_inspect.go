package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sullae/sullae/coordinator/chattemplate"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
)

// modelInspectCmd is `sullae model inspect`.
type modelInspectCmd struct {
	Dir     string `arg:"" optional:"" help:"The model's folder or .gguf file; \"demo\" or nothing is the built-in model."`
	JSON    bool   `name:"json" env:"-" help:"Print one JSON object."`
	Tensors bool   `env:"-" help:"List every stored tensor."`
}

// Run prints what the folder holds. It fails where the model could not be
// served, after printing what there is.
func (c *modelInspectCmd) Run(ctx context.Context) error { return c.run(standard()) }

func (c *modelInspectCmd) run(std streams) error {
	m, err := openModel(c.Dir)
	if err != nil {
		return err
	}
	defer m.Close()
	r := inspect(m)
	if !c.Tensors {
		r.Tensors = nil
	}
	if c.JSON {
		enc := json.NewEncoder(std.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(r)
	} else {
		_, err = io.WriteString(std.out, r.view())
	}
	if err == nil && r.Problem != "" {
		err = errors.New(r.Problem)
	}
	return err
}

// inspection is what a model folder holds.
type inspection struct {
	Model        string               `json:"model"`
	CheckpointID string               `json:"checkpoint_id"`
	Architecture string               `json:"architecture"`
	Layers       int                  `json:"layers"`
	Hidden       int                  `json:"hidden"`
	Heads        int                  `json:"heads"`
	KVHeads      int                  `json:"kv_heads"`
	HeadDim      int                  `json:"head_dim"`
	FFN          int                  `json:"ffn"`
	Vocab        int                  `json:"vocab"`
	MaxPositions int                  `json:"max_positions"`
	Rope         inspectedRope        `json:"rope"`
	Window       int                  `json:"window,omitempty"`
	Windows      int                  `json:"layers_with_window,omitempty"`
	Tied         bool                 `json:"tied"`
	DTypes       map[string]int       `json:"dtypes"` // tensors of each type
	Parameters   int64                `json:"parameters"`
	Bytes        int64                `json:"bytes"`
	Files        []inspectedFile      `json:"files"`
	Tokenizer    *inspectedTokenizer  `json:"tokenizer"`
	BOS          []inspectedToken     `json:"bos"`
	EOS          []inspectedToken     `json:"eos"`
	PAD          []inspectedToken     `json:"pad"`
	Extra        []string             `json:"extra_tensors"` // that the model doesn't read
	Tensors      []checkpoint.Listing `json:"tensors,omitempty"`
	Problem      string               `json:"problem,omitempty"` // why it can't be served
}

type inspectedRope struct {
	Theta   float64  `json:"theta"`
	Dim     int      `json:"dim"`
	Scaling *float64 `json:"llama3_factor,omitempty"`
	Linear  float64  `json:"linear_factor,omitempty"`
	// LongAfter: longer sequences have longrope's long factors.
	LongAfter int `json:"longrope_after,omitempty"`
}

type inspectedFile struct {
	Name    string `json:"name"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"tensor_bytes"`
}

type inspectedTokenizer struct {
	Entries      int  `json:"entries"`
	VocabSize    int  `json:"vocab_size"`
	ChatTemplate bool `json:"chat_template"`
}

type inspectedToken struct {
	ID   int32  `json:"id"`
	Text string `json:"text,omitempty"`
}

// inspect describes an opened model.
func inspect(m *checkpoint.Checkpoint) *inspection {
	s := m.Spec()
	r := &inspection{
		Model: m.Name(), CheckpointID: m.ID(), Architecture: s.Architecture,
		Layers: len(s.Layers), Hidden: s.Hidden, Heads: s.Heads, KVHeads: s.KVHeads, HeadDim: s.HeadDim,
		FFN: s.FFN, Vocab: s.Vocab, MaxPositions: s.MaxPositions, Tied: s.Tied,
		Rope:   inspectedRope{Theta: s.Rope.Theta, Dim: s.Rope.Dim, Linear: s.Rope.Linear, LongAfter: s.Rope.LongAfter()},
		DTypes: map[string]int{}, Bytes: m.Bytes(), Extra: []string{}, Tensors: m.List(),
	}
	if s.Rope.Llama3 != nil {
		r.Rope.Scaling = &s.Rope.Llama3.Factor
	}
	for _, l := range s.Layers {
		if l.Window > 0 {
			r.Windows++
			r.Window = max(r.Window, l.Window)
		}
	}
	files := map[string]int{}
	for _, t := range r.Tensors {
		name := filepath.Base(t.File)
		i, ok := files[name]
		if !ok {
			i = len(r.Files)
			files[name] = i
			r.Files = append(r.Files, inspectedFile{Name: name})
		}
		r.Files[i].Tensors++
		r.Files[i].Bytes += t.Bytes
		if !t.Used {
			r.Extra = append(r.Extra, t.Name)
			continue
		}
		r.DTypes[t.DType]++
		n := int64(1)
		for _, d := range t.Shape {
			n *= int64(d)
		}
		r.Parameters += n
	}
	slices.SortFunc(r.Files, func(a, b inspectedFile) int { return strings.Compare(a.Name, b.Name) })
	r.addTokens(m, s)
	return r
}

// addTokens describes the tokenizer and the special tokens.
func (r *inspection) addTokens(m *checkpoint.Checkpoint, s *model.Spec) {
	t, err := loadTokenizer(m)
	if err != nil {
		r.Problem = err.Error()
	}
	text := func(int32) string { return "" }
	if t != nil {
		r.Tokenizer = &inspectedTokenizer{t.Entries(), t.VocabSize(), t.ChatTemplate() != ""}
		text = func(id int32) string {
			name, _ := t.IDToToken(id)
			return name
		}
		if src := t.ChatTemplate(); src != "" {
			if _, err := chattemplate.Parse("chat_template", src); err != nil {
				r.Problem = fmt.Sprintf("%s: %v", m.Name(), err)
			}
		}
		if t.VocabSize() > s.Vocab {
			r.Problem = fmt.Sprintf("%s: tokenizer.json has ids up to %d, but the embedding has %d rows: these files do not belong together", m.Name(), t.VocabSize()-1, s.Vocab)
		}
	}
	name := func(ids []int32) []inspectedToken {
		list := []inspectedToken{}
		for _, id := range ids {
			list = append(list, inspectedToken{id, text(id)})
		}
		return list
	}
	r.BOS, r.EOS, r.PAD = name(s.BOS), name(s.EOS), name(s.PAD)
}
