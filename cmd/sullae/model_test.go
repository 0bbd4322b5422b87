package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/shard/synth"
)

// runModel runs `sullae model ARGS`; DIR in it stands for dir.
func runModel(t *testing.T, ctx context.Context, args, dir string) (string, error) {
	t.Helper()
	c, err := parseClient(t, "model "+strings.ReplaceAll(args, "DIR", dir))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	std := streams{nil, &out, io.Discard}
	switch verb, _, _ := strings.Cut(args, " "); verb {
	case "inspect":
		err = c.Model.Inspect.run(std)
	case "plan":
		err = c.Model.Plan.run(std)
	default:
		err = c.Model.Synth.run(ctx, std)
	}
	return strings.ReplaceAll(out.String(), dir, "DIR"), err
}

const inspectedTiny = `model         DIR
checkpoint    ID
architecture  ExaoneForCausalLM
shape         1 layer, hidden 64, 8 heads and 4 KV heads of 8, FFN 160, vocabulary 512
context       512 positions
rotary        theta 500000 over 8 of 8 elements
head          of its own
parameters    109 K (108,736)
stored as     BF16
size          SIZE in 4 files
              model-00001-of-00004.safetensors: 2 tensors, 64.12 KiB
              model-00002-of-00004.safetensors: 7 tensors, 64.12 KiB
              model-00003-of-00004.safetensors: 2 tensors, 20.12 KiB
              model-00004-of-00004.safetensors: 1 tensor, 64.00 KiB
tokenizer     none: served for token ids only
BOS           1
EOS           361
PAD           0
`

func TestInspect(t *testing.T) {
	dir := modeltest.Tiny(t, synth.Options{Layers: 1, ShardBytes: 66_000})
	got, err := runModel(t, t.Context(), "inspect DIR", dir)
	if err != nil {
		t.Fatal(err)
	}
	m := modeltest.Open(t, dir)
	got = strings.Replace(got, m.ID()[:12], "ID", 1)
	if i := strings.Index(got, "size "); i >= 0 {
		size, _, _ := strings.Cut(got[i+14:], " in ")
		got = strings.Replace(got, size, "SIZE", 1)
	}
	if got != inspectedTiny {
		t.Errorf("got\n%s\nwant\n%s", got, inspectedTiny)
	}
	got, err = runModel(t, t.Context(), "inspect DIR --tensors", dir)
	if err != nil || !strings.Contains(got, "\ntransformer.wte.weight                          BF16  512 64  64.00 KiB  model-00001-of-00004.safetensors\n") {
		t.Errorf("--tensors: %v\n%s", err, got)
	}
}

func TestInspectJSON(t *testing.T) {
	got, err := runModel(t, t.Context(), "inspect DIR --json", modeltest.Dir(t, "exaone35-12h3kv-f32-tied"))
	var r inspection
	if err != nil || json.Unmarshal([]byte(got), &r) != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	if r.Model != "DIR" || r.Parameters != 293280 || !r.Tied || r.DTypes["F32"] != 29 || *r.Rope.Scaling != 8 || r.Tokenizer != nil ||
		r.Tensors != nil || len(r.Files) != 1 || r.EOS[0].ID != 361 || r.Extra == nil || r.CheckpointID == "" {
		t.Errorf("got %s", got)
	}
}

func TestInspectDemo(t *testing.T) {
	for _, args := range []string{"inspect", "inspect demo"} {
		got, err := runModel(t, t.Context(), args, "-")
		if err != nil || !strings.HasPrefix(got, "model         demo\n") || !strings.Contains(got, "with a chat template\n") || !strings.Contains(got, "[|endofturn|]") {
			t.Errorf("%s: %v\n%s", args, err, got)
		}
	}
}

// A folder whose tokenizer can't be used is shown, with an error that names it.
func TestInspectProblems(t *testing.T) {
	dir := modeltest.Tiny(t, synth.Options{})
	path := filepath.Join(dir, "tokenizer.json")
	if err := os.WriteFile(path, []byte(`{"version":"2.0"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	got, err := runModel(t, t.Context(), "inspect DIR", dir)
	if err == nil || !strings.Contains(err.Error(), dir+": tokenizer.json: ") || !strings.Contains(got, "tokenizer     unusable: DIR") {
		t.Errorf("%v\n%s", err, got)
	}
	if _, err := runModel(t, t.Context(), "inspect DIR", filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("no folder: %v", err)
	}
}

func TestPlan(t *testing.T) {
	dir := modeltest.Tiny(t, synth.Options{})
	got, err := runModel(t, t.Context(), "plan DIR --workers 3", dir)
	if err != nil || !strings.HasPrefix(got, "DIR, 3 workers\n") || strings.Count(got, "\n") != 6 || !strings.Contains(got, "sum") {
		t.Errorf("%v\n%s", err, got)
	}
	got, err = runModel(t, t.Context(), "plan DIR --capacities 1,2,1 --json", dir)
	var p planJSON
	if err != nil || json.Unmarshal([]byte(got), &p) != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	var weights, kv int64
	for i, w := range p.Workers {
		if w.Rank != i || w.KVBytesPer1000Tokens != 1000*w.KVBytesPerToken {
			t.Errorf("worker %d: %+v", i, w)
		}
		weights += w.WeightBytes
		kv += w.KVBytesPer1000Tokens
	}
	if len(p.Workers) != 3 || p.Workers[1].Heads.To-p.Workers[1].Heads.From != 4 || weights != p.Totals.WeightBytes || kv != p.Totals.KVBytesPer1000Tokens || weights == 0 {
		t.Errorf("got %s", got)
	}
	for args, want := range map[string]string{
		"plan DIR --workers 9":          "--workers 9: ",
		"plan DIR --workers 0":          "1 to 8 workers can share it",
		"plan DIR --workers=-1":         "1 to 8 workers can share it",
		"plan DIR --workers 9999999999": "1 to 8 workers can share it",
		"plan DIR --capacities 1,0":     "capacity 0",
		"plan demo --workers 9":         "demo has 8 query heads",
		"plan DIR/missing --workers 1":  "no such file",
		"plan DIR --capacities 1,NaN":   "NaN",
	} {
		if got, err := runModel(t, t.Context(), args, dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", args, got, err, want)
		}
	}
}

func TestSynth(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "m")
	got, err := runModel(t, t.Context(), "synth DIR --preset tiny --layers 3 --dtype f32 --shard-bytes 200KB", dir)
	if err != nil || !strings.HasPrefix(got, "DIR: 195 K parameters, 765 KiB in 5 files\n") {
		t.Errorf("%q, %v", got, err)
	}
	s := modeltest.Open(t, dir).Spec()
	if len(s.Layers) != 3 || s.DType.String() != "F32" {
		t.Errorf("made %+v", s)
	}
	if _, err := runModel(t, t.Context(), "synth DIR --preset tiny", dir); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("again: %v", err)
	}
	if _, err := runModel(t, t.Context(), "synth DIR2 --preset big", dir); err == nil || !strings.Contains(err.Error(), "exaone-1b") {
		t.Errorf("an unknown preset: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runModel(t, ctx, "synth DIR3 --preset tiny", dir); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
