package synth_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/synth"
)

func write(t *testing.T, dir string, o synth.Options) *checkpoint.Checkpoint {
	t.Helper()
	if err := synth.Write(t.Context(), dir, o, nil); err != nil {
		t.Fatal(err)
	}
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// content is a tensor's bytes.
func content(t *testing.T, c *checkpoint.Checkpoint, name string) []byte {
	t.Helper()
	info, err := c.Info(name)
	if err != nil {
		t.Fatal(err)
	}
	rows, cols := 1, info.Shape[0]
	if len(info.Shape) == 2 {
		rows, cols = info.Shape[0], info.Shape[1]
	}
	data := make([]byte, rows*cols*info.DType.Size())
	if err := c.ReadRegion(t.Context(), data, name, 0, rows, 0, cols); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWriteOptions(t *testing.T) {
	o := synth.Options{
		Preset: "tiny", Layers: 3, Hidden: 96, Heads: 12, KVHeads: 3, FFN: 240, Vocab: 640,
		MaxPositions: 100, Tied: true, DType: tensor.F32, Seed: 5,
	}
	c := write(t, filepath.Join(t.TempDir(), "m"), o)
	s := c.Spec()
	if len(s.Layers) != 3 || s.Hidden != 96 || s.Heads != 12 || s.KVHeads != 3 || s.HeadDim != 8 || s.FFN != 240 ||
		s.Vocab != 640 || s.MaxPositions != 100 || !s.Tied || s.DType != tensor.F32 || !slices.Equal(s.EOS, []int32{361}) {
		t.Errorf("got %+v", s)
	}
	if extra := c.Extra(); extra != nil {
		t.Errorf("extra tensors %v", extra)
	}
	for _, name := range synth.Presets() {
		o := synth.Options{Preset: name, Layers: 1, Vocab: 16, FFN: 8, Hidden: 256, HeadDim: 8}
		if extra := write(t, filepath.Join(t.TempDir(), "m"), o).Extra(); extra != nil {
			t.Errorf("%s: extra tensors %v", name, extra)
		}
	}
}

// TestContent: a tensor depends on the seed and its name alone: not on the
// files it is dealt to. The hash holds the values still over versions and
// machines.
func TestContent(t *testing.T) {
	dir := t.TempDir()
	one := write(t, filepath.Join(dir, "one"), synth.Options{Preset: "tiny"})
	many := write(t, filepath.Join(dir, "many"), synth.Options{Preset: "tiny", ShardBytes: 20_000})
	seed := write(t, filepath.Join(dir, "seed"), synth.Options{Preset: "tiny", Seed: 1})
	files, _ := filepath.Glob(filepath.Join(dir, "many", "model-*-of-*.safetensors"))
	if len(files) < 3 {
		t.Errorf("%d files", len(files))
	}
	h := sha256.New()
	for _, name := range one.Names() {
		data := content(t, one, name)
		if !bytes.Equal(data, content(t, many, name)) {
			t.Errorf("%s depends on its file", name)
		}
		if bytes.Equal(data, content(t, seed, name)) {
			t.Errorf("%s does not depend on the seed", name)
		}
		h.Write(data)
	}
	const want = "5b67f0766648fd793a667db62de6f7a14bec1a8e7fd550c6fe9dd56ef91c42c9"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("content %s, want %s", got, want)
	}
	if one.ID() == many.ID() || one.ID() == seed.ID() {
		t.Error("two checkpoints have one ID")
	}
}

func TestWriteErrors(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, c := range []struct {
		dir  string
		o    synth.Options
		want string
	}{
		{full, synth.Options{Preset: "tiny"}, "is not empty (it holds x)"},
		{filepath.Join(full, "x"), synth.Options{Preset: "tiny"}, "not a directory"},
		{filepath.Join(dir, "no", "m"), synth.Options{Preset: "tiny"}, "no such file"},
		{filepath.Join(dir, "m"), synth.Options{}, `preset "" is not known; known: exaone-1b, exaone-3.0-7.8b, exaone-4.0-1.2b, `},
		{filepath.Join(dir, "m"), synth.Options{Preset: "tiny", Layers: -1}, "num_layers: -1 is out of range"},
		{filepath.Join(dir, "m"), synth.Options{Preset: "tiny", Heads: 7}, "hidden size 64 is not a multiple of 7 heads"},
		{filepath.Join(dir, "m"), synth.Options{Preset: "tiny", KVHeads: 3}, "num_key_value_heads: 3 does not divide"},
		{filepath.Join(dir, "m"), synth.Options{Preset: "tiny", DType: tensor.DType(99)}, "type DType(99) is not supported"},
		{filepath.Join(dir, "m"), synth.Options{Preset: "tiny", ShardBytes: -1}, "shard size -1"},
		{filepath.Join(dir, "m"), synth.Options{Preset: "tiny", TokenizerFrom: dir}, "tokenizer.json"},
		{filepath.Join(dir, "m"), synth.Options{Preset: "exaone-3.0-7.8b", Vocab: 4 << 20, Hidden: 1 << 17, HeadDim: 128, Layers: 1000}, "MB free, and the checkpoint needs"},
	} {
		err := synth.Write(t.Context(), c.dir, c.o, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v:\n  got  %v\n  want %s", c.o, err, c.want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestCancel: a write that is stopped leaves nothing, neither beside a new
// folder nor in an empty one.
func TestCancel(t *testing.T) {
	for _, exists := range []bool{false, true} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "m")
		if exists {
			if err := os.Mkdir(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		err := synth.Write(ctx, dir, synth.Options{Preset: "tiny", Hidden: 512, Layers: 40}, func(done, total int64) {
			if done > total/4 {
				cancel(stop)
			}
		})
		if !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
		left, _ := filepath.Glob(filepath.Join(parent, "*"))
		inside, _ := os.ReadDir(dir)
		hidden, _ := filepath.Glob(filepath.Join(parent, ".*"))
		if len(inside) > 0 || len(hidden) > 0 || (len(left) > 0) != exists {
			t.Errorf("left behind: %v %v %v", left, hidden, inside)
		}
	}
}

func TestWriteIntoEmptyFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, synth.Options{Preset: "tiny"})
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestProgress(t *testing.T) {
	var last, total int64
	err := synth.Write(t.Context(), filepath.Join(t.TempDir(), "m"), synth.Options{Preset: "tiny"}, func(done, all int64) {
		if done <= last {
			t.Errorf("progress from %d to %d", last, done)
		}
		last, total = done, all
	})
	if err != nil || last != total || total == 0 {
		t.Errorf("%v: %d of %d", err, last, total)
	}
}

func TestTokenizerFrom(t *testing.T) {
	from := t.TempDir()
	for name, text := range map[string]string{
		"tokenizer.json":        `{"model": {"vocab": {"a": 1, "b": 299}}, "added_tokens": [{"id": 300, "content": "[END]"}]}`,
		"tokenizer_config.json": `{"eos_token": {"content": "[END]"}, "bos_token": "b", "pad_token": null}`,
	} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "m")
	s := write(t, dir, synth.Options{Preset: "tiny", TokenizerFrom: from}).Spec()
	if fmt.Sprint(s.EOS, s.BOS, s.PAD) != "[300] [299] [0]" {
		t.Errorf("eos %v, bos %v, pad %v", s.EOS, s.BOS, s.PAD)
	}
	if _, err := os.Stat(filepath.Join(dir, "tokenizer_config.json")); err != nil {
		t.Error(err)
	}
	err := synth.Write(t.Context(), filepath.Join(t.TempDir(), "m"), synth.Options{Preset: "tiny", Vocab: 300, TokenizerFrom: from}, nil)
	if err == nil || !strings.Contains(err.Error(), "ids up to 300, but the vocabulary has 300; ask for a vocabulary of at least 301") {
		t.Errorf("got %v", err)
	}
}

// TestSource: what is read without a folder is what is in the folder.
func TestSource(t *testing.T) {
	o := synth.Options{Preset: "tiny", DType: tensor.F16, Seed: 7}
	dir := filepath.Join(t.TempDir(), "m")
	c := write(t, dir, o)
	s, err := synth.NewSource(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range s.Spec().Stored() {
		rows, cols := 1, w.Shape[0]
		if len(w.Shape) == 2 {
			rows, cols = w.Shape[0], w.Shape[1]
		}
		for _, part := range [][4]int{{0, rows, 0, cols}, {rows / 2, rows - rows/2, cols / 3, cols / 2}} {
			got, want := make([]byte, part[1]*part[3]*2), make([]byte, part[1]*part[3]*2)
			if err := c.ReadRegion(t.Context(), want, w.Name, part[0], part[1], part[2], part[3]); err != nil {
				t.Fatal(err)
			}
			if err := s.ReadRegion(t.Context(), got, w.Name, part[0], part[1], part[2], part[3]); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%s %v: other bytes", w.Name, part)
			}
		}
	}
	if err := s.ReadRegion(t.Context(), nil, "no.such", 0, 1, 0, 1); err == nil {
		t.Error("a tensor that is not there was read")
	}
}
