package e2e

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// command runs a command of the binary under test and decodes the JSON that it prints.
func command(t *testing.T, into any, args ...string) {
	t.Helper()
	cmd := exec.Command(sullae, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		t.Fatalf("sullae %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
}

// TestEval: perplexity is what the log-probabilities that a server echoes add up to, and
// what the model computes in one process; choices are those of the same log-probabilities.
func TestEval(t *testing.T) {
	long(t)
	p := up(t, "--workers", "2", "--threads", "1")
	dir := t.TempDir()
	text := strings.Repeat("대한민국의 수도는 서울입니다. The capital of France is Paris. ", 12)
	file := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Scored     int     `json:"scored_tokens"`
		Nats       float64 `json:"nats"`
		Perplexity float64 `json:"perplexity"`
		Windows    int     `json:"windows"`
	}
	command(t, &got, "eval", "perplexity", "--json", "--grpc", p.grpc, file)
	var echoed struct {
		Choices []struct {
			Logprobs struct {
				TokenLogprobs []*float64 `json:"token_logprobs"`
			} `json:"logprobs"`
		} `json:"choices"`
	}
	if err := p.post("/v1/completions", map[string]any{"prompt": text, "echo": true, "logprobs": 0, "max_tokens": 0}, &echoed); err != nil {
		t.Fatal(err)
	}
	nats := 0.0
	all := echoed.Choices[0].Logprobs.TokenLogprobs
	for _, l := range all[1:] {
		nats -= *l
	}
	if got.Scored != len(all)-1 || math.Abs(got.Nats-nats) > 1e-6*nats {
		t.Errorf("eval says %+v, the echo %d tokens and %v nats", got, len(all)-1, nats)
	}
	var quant struct {
		Results []struct {
			Quant      string  `json:"quant"`
			Perplexity float64 `json:"perplexity"`
			KL         float64 `json:"kl_mean"`
			SameTop    float64 `json:"same_top"`
		} `json:"results"`
	}
	command(t, &got, "eval", "perplexity", "--json", "--grpc", p.grpc, "--context", "64", file)
	command(t, &quant, "eval", "quant", "--json", "--context", "64", "--quant", "q8,q4", file)
	if q := quant.Results; len(q) != 3 || math.Abs(q[0].Perplexity-got.Perplexity) > 1e-6*got.Perplexity || got.Windows < 3 ||
		q[0].SameTop != 1 || q[1].KL <= 0 || q[2].KL <= q[1].KL {
		t.Errorf("eval quant says %+v, eval perplexity %+v", q, got)
	}

	questions := filepath.Join(dir, "q.jsonl")
	line := `{"prompt":"[|system|][|endofturn|]\n[|user|]프랑스의 수도는 어디인가요?\n[|assistant|]","choices":["%s의 수도는 파리입니다.","프랑스의 수도는 서울입니다.","프랑스의 수도는 파리입니다."],"answer":2}`
	if err := os.WriteFile(questions, []byte(strings.ReplaceAll(line, "%s", "독일")+"\n"+strings.ReplaceAll(line, "%s", "미국")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var choices struct {
		Questions int     `json:"questions"`
		Acc       float64 `json:"acc"`
		Norm      float64 `json:"acc_norm"`
	}
	command(t, &choices, "eval", "choices", "--json", "--grpc", p.grpc, "--delimiter", "", questions)
	if choices.Questions != 2 || choices.Acc != 1 || choices.Norm != 1 {
		t.Errorf("choices %+v", choices)
	}
}
