package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestDemoHeldBack: at least 95 % of the questions that the demo model was not
// trained with are answered as they should be, to the letter.
func TestDemoHeldBack(t *testing.T) {
	long(t)
	f, err := os.Open(filepath.Join("..", "..", "..", "deploy", "demo-model", "heldback.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type question struct {
		Category string           `json:"category"`
		Messages []map[string]any `json:"messages"`
		Answer   string           `json:"answer"`
	}
	questions := make(chan question, 1000)
	for s := bufio.NewScanner(f); s.Scan(); {
		var q question
		if err := json.Unmarshal(s.Bytes(), &q); err != nil {
			t.Fatal(err)
		}
		questions <- q
	}
	close(questions)
	asked := len(questions)
	if asked < 400 {
		t.Fatalf("%d questions", asked)
	}
	p := up(t, "--workers", "2", "--threads", "1")
	var mu sync.Mutex
	wrong := map[string]int{}
	total := 0
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for q := range questions {
				var a struct {
					Choices []struct {
						Message struct {
							Content string `json:"content"`
						} `json:"message"`
					} `json:"choices"`
				}
				err := p.post("/v1/chat/completions", map[string]any{"messages": q.Messages, "temperature": 0, "max_tokens": 64}, &a)
				mu.Lock()
				if err != nil {
					t.Error(err)
				} else if a.Choices[0].Message.Content != q.Answer {
					wrong[q.Category]++
					total++
					t.Logf("%v: %q, want %q", q.Messages[len(q.Messages)-1]["content"], a.Choices[0].Message.Content, q.Answer)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if total*20 > asked {
		t.Errorf("%d of %d answers are wrong: %v", total, asked, wrong)
	}
}
