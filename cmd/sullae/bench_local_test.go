package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestBenchModel: the table has a line for each figure, and the JSON its fields.
func TestBenchModel(t *testing.T) {
	var out, log bytes.Buffer
	c := benchModelCmd{Preset: "tiny", Device: "cpu", Ranks: 1, KVType: "q8", Quant: []string{"q4"}, Threads: 1, Prompt: 16, Decode: 2, Context: 8, Batch: []int{1, 2}, Repeat: 1, TopP: 1}
	if err := c.run(t.Context(), streams{out: &out, err: &log}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "\n"); got != 5 || !strings.Contains(out.String(), "tiny") {
		t.Errorf("got %q", out.String())
	}
	c.Prompt = 1 << 20
	if err := c.run(t.Context(), streams{out: &out, err: &log}); err == nil || !strings.Contains(err.Error(), "context of 512") {
		t.Errorf("a prompt beyond the context: %v", err)
	}
}

func TestBenchKernels(t *testing.T) {
	if testing.Short() {
		t.Skip("packs a GB")
	}
	var out, log bytes.Buffer
	c := benchKernelsCmd{Threads: []int{1}, Shape: []string{"4096x8192/4"}, Rows: []int{1}, Context: 64, Time: time.Millisecond, JSON: true}
	if err := c.run(t.Context(), streams{out: &out, err: &log}); err != nil {
		t.Fatal(err)
	}
	var rep struct {
		Limits  []struct{ Threads int }
		Results []struct {
			Kernel string
			Rate   float64
		}
	}
	if err := json.Unmarshal(out.Bytes(), &rep); err != nil || len(rep.Limits) != 1 || len(rep.Results) < 12 {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	for _, r := range rep.Results {
		if !(r.Rate > 0) {
			t.Errorf("%+v", r)
		}
	}
	c.Shape = []string{"12"}
	if err := c.run(t.Context(), streams{out: &out, err: &log}); err == nil || !strings.Contains(err.Error(), "--shape") {
		t.Errorf("a malformed shape: %v", err)
	}
}
