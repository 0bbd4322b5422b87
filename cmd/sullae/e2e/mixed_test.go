package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
)

var mixedAll = flag.Bool("mixed-all", false, "TestMixed takes all ways of serving")

// mixedRequests are 32 of all kinds: shapes of the choice, scores, structures,
// several choices, prompts with a common beginning, guesses.
func mixedRequests() (all []map[string]any) {
	shared := strings.Repeat("서울은 대한민국의 수도이다. ", 12)
	for i := range 32 {
		r := map[string]any{
			"prompt": fmt.Sprintf("%d: 옛날 옛적에", i), "max_tokens": 24 + 3*i, "temperature": 0.9, "seed": i,
			"ignore_eos": true, "return_token_ids": true, "logprobs": i % 4,
		}
		switch i % 8 {
		case 0:
			r["temperature"] = 0
		case 1:
			r["top_p"], r["top_k"] = 0.8, 40
		case 2:
			r["repetition_penalty"], r["presence_penalty"], r["frequency_penalty"] = 1.2, 0.5, 0.3
		case 3:
			r["prompt"], r["n"] = shared+fmt.Sprint(i), 3
		case 4:
			r["prompt"], r["echo"], r["logprobs"] = shared+"끝", true, 20
		case 5:
			r["min_p"], r["bad_words"], r["logit_bias"] = 0.02, []string{" 그", "다"}, map[string]float64{"300": 4, "301": -4}
		case 6:
			delete(r, "ignore_eos")
			r["guided_json"] = json.RawMessage(personSchema)
			r["max_tokens"] = 200
		case 7:
			delete(r, "ignore_eos")
			r["min_tokens"], r["stop"] = 10, []string{"다."}
		}
		if i%3 == 0 {
			r["prompt_lookup_num_tokens"] = 1 + i%5
		}
		all = append(all, r)
	}
	return all
}

// TestMixed: 32 requests of all kinds have the same tokens and scores, bit for bit,
// one after the other on a plain server and all at once on servers that cut
// prompts, blocks and steps otherwise, find no prefix again, have to preempt, guess
// at tokens, and are of other numbers of workers and groups.
func TestMixed(t *testing.T) {
	long(t)
	requests := mixedRequests()
	ask := func(p *process, i int) completion {
		t.Helper()
		c, err := p.complete(requests[i])
		if err != nil {
			t.Errorf("request %d: %v", i, err)
		}
		return c
	}
	alone := up(t)
	want := make([]completion, len(requests))
	for i := range requests {
		want[i] = ask(alone, i)
	}
	alone.stop(syscall.SIGTERM)
	ways := []struct {
		args      []string
		preempted bool // sequences must have been
	}{
		{args: []string{"--workers", "3", "--block-size", "4", "--max-batched-tokens", "70", "--max-prefill-chunk", "7", "--prompt-lookup", "6", "--kv-tokens", "768"}, preempted: true},
		{args: []string{"--no-prefix-cache", "--prompt-lookup", "3"}},
		{args: []string{"--workers", "2", "--max-seqs", "9", "--prompt-lookup", "32", "--groups", "2"}},
		{args: []string{"--workers", "4", "--block-size", "32", "--max-prefill-chunk", "64"}},
		{args: []string{"--block-size", "1", "--kv-tokens", "2048", "--max-batched-tokens", "33"}},
		{args: []string{"--workers", "2", "--block-size", "16", "--max-seqs", "32", "--no-prefix-cache", "--kv-tokens", "1024"}, preempted: true},
	}
	if !*mixedAll {
		ways = ways[:1]
	}
	for _, way := range ways {
		t.Run(strings.Join(way.args, " "), func(t *testing.T) {
			p := up(t, way.args...)
			got := make([]completion, len(requests))
			var wg sync.WaitGroup
			for i := range requests {
				wg.Go(func() { got[i] = ask(p, i) })
			}
			wg.Wait()
			for i := range requests {
				if !reflect.DeepEqual(got[i].Choices, want[i].Choices) {
					t.Errorf("request %d: other tokens, text or scores than alone", i)
				}
			}
			if n := p.metric(t, "vllm:num_preemptions_total"); way.preempted && n == 0 {
				t.Error("nothing was preempted")
			}
			p.stop(syscall.SIGTERM)
		})
	}
}
