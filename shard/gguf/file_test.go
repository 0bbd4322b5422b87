package gguf_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/sullae/sullae/shard/gguf"
	"github.com/sullae/sullae/shard/modeltest"
)

func parse(data []byte) (*gguf.File, error) {
	return gguf.Parse(bytes.NewReader(data), int64(len(data)))
}

// small is a file with an entry of each kind and two tensors.
func small() *modeltest.GGUFFile {
	g := &modeltest.GGUFFile{}
	g.Set("general.architecture", "llama")
	g.Set("n", 7)
	g.Set("f", float32(0.1))
	g.Set("yes", true)
	g.Set("texts", []string{"a", "", "한"})
	g.Set("ids", []int{1, 2})
	g.Set("flags", []bool{true, false})
	g.Add("a", gguf.F32, []int{3}, make([]byte, 12))
	g.Add("b", gguf.Q8_0, []int{2, 64}, make([]byte, 4*34))
	return g
}

func TestParse(t *testing.T) {
	f, err := parse(small().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	n, _ := f.Meta.Uint("n")
	x, _ := f.Meta.Float("f")
	yes, _ := f.Meta.Flag("yes")
	if f.Version != 3 || n != 7 || x != float64(float32(0.1)) || !yes || f.Meta.Text("general.architecture") != "llama" ||
		!slices.Equal(f.Meta["texts"].([]string), []string{"a", "", "한"}) || !slices.Equal(f.Meta["ids"].([]int64), []int64{1, 2}) ||
		!slices.Equal(f.Meta["flags"].([]bool), []bool{true, false}) {
		t.Errorf("%+v", f.Meta)
	}
	b := f.Tensors[1]
	if b.Name != "b" || b.Type != gguf.Q8_0 || !slices.Equal(b.Dims, []int{2, 64}) || b.Bytes != 136 || b.Offset%32 != 0 || f.Tensors[0].Bytes != 12 {
		t.Errorf("%+v", f.Tensors)
	}
}

// TestParseErrors: what is wrong is named, with its place.
func TestParseErrors(t *testing.T) {
	good := small().Bytes()
	at := func(off int, b ...byte) []byte {
		out := bytes.Clone(good)
		copy(out[off:], b)
		return out
	}
	with := func(f func(*modeltest.GGUFFile)) []byte {
		g := small()
		f(g)
		return g.Bytes()
	}
	huge := binary.LittleEndian.AppendUint64(nil, math.MaxUint64)
	key := bytes.Index(good, []byte("texts")) + 5 + 4 + 4 // the array's length
	for name, c := range map[string]struct {
		data []byte
		want []string
	}{
		"empty":       {nil, []string{"offset 0", "truncated"}},
		"no GGUF":     {at(0, 'P', 'K'), []string{"offset 0", "no GGUF"}},
		"version":     {at(4, 1), []string{"version 1"}},
		"big-endian":  {at(4, 0, 0, 0, 3), []string{"big-endian"}},
		"counts":      {at(8, huge...), []string{"not believed"}},
		"long key":    {at(24, huge...), []string{"offset 32", "not believed"}},
		"long array":  {at(key, huge...), []string{`key "texts"`, "bytes follow"}},
		"cut":         {good[:200], []string{"offset", "the file"}},
		"cut data":    {good[:len(good)-64], []string{`tensor "b"`, "truncated"}},
		"twice":       {with(func(g *modeltest.GGUFFile) { g.Set("n", 1) }), []string{`"n" appears twice`}},
		"tensors":     {with(func(g *modeltest.GGUFFile) { g.Add("a", gguf.F32, []int{1}, nil) }), []string{`"a" appears twice`}},
		"no blocks":   {with(func(g *modeltest.GGUFFile) { g.Add("c", gguf.Q4_K, []int{2, 64}, nil) }), []string{`tensor "c"`, "64", "Q4_K"}},
		"huge shape":  {with(func(g *modeltest.GGUFFile) { g.Add("c", gguf.F32, []int{1 << 40, 1 << 40}, nil) }), []string{`tensor "c"`, "larger"}},
		"alignment":   {with(func(g *modeltest.GGUFFile) { g.Set("general.alignment", 3) }), []string{"general.alignment", "3"}},
		"five dims":   {with(func(g *modeltest.GGUFFile) { g.Add("c", gguf.F32, []int{1, 1, 1, 1, 1}, nil) }), []string{`tensor "c"`, "5 dimensions"}},
		"value type":  {at(bytes.Index(good, []byte("yes"))+3, 99), []string{`key "yes"`, "99"}},
		"array types": {at(bytes.Index(good, []byte("ids"))+3+4, 9), []string{`key "ids"`, "not supported"}},
	} {
		_, err := parse(c.data)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}

// TestTypes: a type that is not read is named where it is asked for, and its
// tensors may stand in a file all the same.
func TestTypes(t *testing.T) {
	g := small()
	g.Add("c", gguf.Type(16), []int{7}, nil)
	if _, err := parse(g.Bytes()); err != nil {
		t.Error(err)
	}
	if _, err := gguf.Type(16).Block(); err == nil || !strings.Contains(err.Error(), "IQ2_XXS is not supported; supported: ") {
		t.Errorf("%v", err)
	}
	names := map[string]bool{}
	for typ := range modeltest.GGMLTypes {
		names[typ.String()] = true
	}
	if len(names) != len(modeltest.GGMLTypes) {
		t.Errorf("%v", slices.Sorted(maps.Keys(names)))
	}
}

// TestConfigErrors: metadata that makes no model is named by its key.
func TestConfigErrors(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*modeltest.GGUFFile)
		want string
	}{
		"nothing":      {func(g *modeltest.GGUFFile) {}, "general.architecture: \"\" is not supported; supported: exaone, exaone4, gemma2, llama"},
		"architecture": {func(g *modeltest.GGUFFile) { g.Set("general.architecture", "mamba") }, "general.architecture: \"mamba\""},
		"missing":      {func(g *modeltest.GGUFFile) { g.Set("general.architecture", "qwen2") }, "qwen2.embedding_length: missing"},
		"wrong": {func(g *modeltest.GGUFFile) {
			g.Set("general.architecture", "qwen2")
			g.Set("qwen2.embedding_length", "many")
		}, "qwen2.embedding_length: many is not a whole number"},
	} {
		g := &modeltest.GGUFFile{}
		c.set(g)
		f, err := parse(g.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Config(nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(small().Bytes())
	g := small()
	g.Set("llama.embedding_length", 64)
	g.Set("tokenizer.ggml.model", "llama")
	g.Set("tokenizer.ggml.tokens", []string{"<s>", "▁a", "a", "▁"})
	g.Set("tokenizer.ggml.scores", []float32{0, -1, -2, -3})
	f.Add(g.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parse(data)
		if err != nil {
			if len(err.Error()) > 1000+8*len(data) {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		for _, tensor := range file.Tensors {
			if tensor.Offset < 0 || tensor.Bytes < 0 || tensor.Offset+tensor.Bytes > int64(len(data)) {
				t.Fatalf("%+v in %d bytes", tensor, len(data))
			}
		}
		read := func(gguf.Tensor) ([]float32, error) { return nil, nil }
		_, _ = file.Config(read)
		_, _ = file.Published()
		_, _ = file.TokenizerJSON()
		_, _ = file.TokenizerConfig()
	})
}
