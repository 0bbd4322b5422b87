// Package modeltest gives tests small models: golden ones, with the outputs of
// an independent reference implementation, and random ones of any shape. It is
// for tests only.
package modeltest

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Model is a golden model: a checkpoint with random weights, and what a
// float64 forward pass makes of it, computed from the weights as stored.
// A float32 engine should be within 1e-3 of LastLogits and have the same Argmax
// and Greedy tokens; every number of workers must give the same bits.
type Model struct {
	Name  string
	Dir   string // config.json and safetensors; no tokenizer
	Cases []Case
}

// Case is one prompt with its outputs. Log-probabilities are natural.
type Case struct {
	ID     string  `json:"id"`
	Prompt []int32 `json:"prompt"`
	// LastLogits are the logits [V] at the prompt's last position.
	LastLogits []float64 `json:"last_logits"`
	// Top10 are the ten likeliest tokens at the last position.
	Top10 []TopToken `json:"top10"`
	// Argmax is the likeliest token at every position of the prompt;
	// MinTop2Gap the least distance of two best logits over them.
	Argmax     []int32 `json:"argmax"`
	MinTop2Gap float64 `json:"min_top2_gap"`
	// TokenLogprobs[i] is log p(Prompt[i+1] | Prompt[:i+1]); SumLogprob their sum.
	TokenLogprobs []float64 `json:"token_logprobs"`
	SumLogprob    float64   `json:"sum_logprob"`
	// Greedy are the tokens of greedy decoding, ends of generation ignored.
	Greedy         []int32   `json:"greedy"`
	GreedyLogprobs []float64 `json:"greedy_logprobs"`
	GreedyMinGap   float64   `json:"greedy_min_gap"`
	// Trace is the residual stream [C] at the last position, by place: "embed",
	// "layer_0" (after layer 0) and so on, "final_norm". Only some cases have it.
	Trace map[string][]float64 `json:"trace_last_position"`
}

// TopToken is a token with its logit and log-probability.
type TopToken struct {
	ID      int32   `json:"id"`
	Logit   float64 `json:"logit"`
	Logprob float64 `json:"logprob"`
}

// resharded is the golden model that Golden lists a second time, cut into
// several files, and into how many.
const (
	resharded      = "exaone3-8h4kv-bf16-smallemb"
	reshardedFiles = 3
)

// folder names another folder of golden models, each with its golden.json: those
// in the module are a selection.
var folder = flag.String("golden", "", "folder of golden models to test instead of the module's own")

// Golden lists the golden models: EXAONE 3.0 in BF16 and F16 with 12/3, 6/6 and
// 8/4 query and KV heads, one of them also with its weights in several files,
// EXAONE 3.5 in F32 with scaled RoPE and tied embeddings, and a tiny one of each
// other family and of EXAONE 3.5 2.4B's heads of 80 values. With the flag -golden they are those of another folder.
func Golden(t testing.TB) []Model {
	t.Helper()
	dir := *folder
	if dir == "" {
		dir = goldenDir(t)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*", "golden.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("modeltest: no folder in %s has a golden.json", dir)
	}
	var out []Model
	for _, p := range paths {
		m := Model{Name: filepath.Base(filepath.Dir(p)), Dir: filepath.Dir(p)}
		load(t, p, &struct{ Cases *[]Case }{&m.Cases})
		out = append(out, m)
		if m.Name == resharded {
			m.Name += "-sharded"
			m.Dir = Reshard(t, m.Dir, reshardedFiles)
			out = append(out, m)
		}
	}
	return out
}

// Tiny reports whether the model is one of the tiny ones.
func (m Model) Tiny() bool { return strings.HasPrefix(m.Name, "tiny-") }

// E2ECase goes from text to text. The tokenizer that it needs is the test data
// of package coordinator/tokenizer.
type E2ECase struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"` // "chat" or "text"
	Messages []struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	} `json:"messages"` // nil for text
	Prompt    string  `json:"prompt"` // rendered
	PromptIDs []int32 `json:"prompt_ids"`
	MaxTokens int     `json:"max_tokens"`
	// GeneratedIDs are the greedy tokens, without the one that ended them.
	GeneratedIDs      []int32   `json:"generated_ids"`
	GeneratedLogprobs []float64 `json:"generated_logprobs"`
	FinishReason      string    `json:"finish_reason"` // "stop" or "length"
	Text              string    `json:"text"`          // special tokens skipped, broken UTF-8 as U+FFFD
	StreamPieces      []string  `json:"stream_pieces"` // one per token
	StreamFlush       string    `json:"stream_flush"`
	PromptSumLogprob  float64   `json:"prompt_sum_logprob"`
	IgnoreEOSIDs      []int32   `json:"ignore_eos_ids"`
	IgnoreEOSText     string    `json:"ignore_eos_text"`
	MinGap            float64   `json:"min_gap"`
}

// E2E is the golden model with text cases: its folder and cases.
func E2E(t testing.TB) (dir string, cases []E2ECase) {
	t.Helper()
	dir = Dir(t, "exaone3-e2e-8h4kv-bf16")
	load(t, filepath.Join(dir, "golden_e2e.json"), &struct{ Cases *[]E2ECase }{&cases})
	return dir, cases
}

// Dir is the folder of a golden model of the module by name.
func Dir(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(goldenDir(t), name)
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("modeltest: golden model %s: %v", name, err)
	}
	return dir
}

// goldenDir is the folder of the golden models, found from the module's root, so
// that tests of every package can use it.
func goldenDir(t testing.TB) string {
	t.Helper()
	at, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			break
		}
		if at == filepath.Dir(at) {
			t.Fatal("modeltest: no go.mod above the test's folder")
		}
		at = filepath.Dir(at)
	}
	return filepath.Join(at, "shard", "modeltest", "testdata", "golden")
}

// load reads a JSON file into v.
func load(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
