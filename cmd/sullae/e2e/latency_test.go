package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	latencyRounds = flag.Int("latency", 0, "rounds of TestLatency; 0: it is left out")
	latencyModel  = flag.String("latency-model", "", "the model of TestLatency; empty: the demo model")
)

// tokenTimes streams an answer of so many tokens to a prompt of token ids, and calls
// at with the time of each event.
func (p *process) tokenTimes(ctx context.Context, prompt []int32, tokens int, at func(time.Time)) error {
	raw, err := json.Marshal(map[string]any{"prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": true, "stream": true, "return_token_ids": true})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", p.http+"/v1/completions", bytes.NewReader(raw))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", res.Status)
	}
	first := true // the event with the prompt's ids, which has no token
	for s := bufio.NewScanner(res.Body); s.Scan(); {
		if strings.HasPrefix(s.Text(), "data: {") {
			if !first {
				at(time.Now())
			}
			first = false
		}
	}
	return nil
}

// someTokens are n ids of no meaning, others for each seed.
func someTokens(n, seed int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(300 + (i*7919+seed*104729)%1400)
	}
	return ids
}

func quantile(all []time.Duration, q float64) time.Duration {
	slices.Sort(all)
	return all[min(int(q*float64(len(all))), len(all)-1)]
}

// TestLatency measures, on a machine that has nothing else to do, what the streams
// that run see of a long prompt, and what a prompt that was seen before saves.
func TestLatency(t *testing.T) {
	if *latencyRounds == 0 {
		t.Skip("needs -latency")
	}
	args := []string{"--max-seqs", "16"}
	if *latencyModel != "" {
		args = append(args, "--model", *latencyModel)
	}
	p := up(t, args...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p.cold(t, 0) // what the first one makes
	var colds, warms []time.Duration
	for r := range *latencyRounds {
		cold, warm := p.cold(t, r+1), p.cold(t, r+1)
		colds, warms = append(colds, cold), append(warms, warm)
	}
	cold, warm := quantile(colds, .5), quantile(warms, .5)
	t.Logf("a prefix of 1,000 tokens: first token after %v cold, %v again: %.2f", cold, warm, float64(warm)/float64(cold))
	if float64(warm) > 0.2*float64(cold) {
		t.Error("a prompt seen before saves too little")
	}

	// Streams for as long as the test takes; gaps between a stream's tokens go into
	// the list of what goes on when they end.
	const streams = 8
	var mu sync.Mutex
	phase, gaps := "", map[string][]time.Duration{}
	var running sync.WaitGroup
	for i := range streams {
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				var last time.Time
				p.tokenTimes(ctx, someTokens(20, 1000+100*n+i), 400, func(now time.Time) {
					mu.Lock()
					defer mu.Unlock()
					if !last.IsZero() && phase != "" {
						gaps[phase] = append(gaps[phase], now.Sub(last))
					}
					last = now
				})
			}
		})
	}
	during := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		phase = name
	}
	wait := func() { time.Sleep(time.Second) }
	if *latencyModel != "" {
		wait = func() { time.Sleep(8 * time.Second) }
	}
	wait()
	over := 0
	for r := range *latencyRounds {
		clear(gaps)
		during("idle")
		wait()
		during("prefill")
		began := time.Now()
		if err := p.tokenTimes(ctx, someTokens(2000, 50+r), 1, func(time.Time) {}); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		during("")
		mu.Lock()
		idle, busy := quantile(gaps["idle"], .99), quantile(gaps["prefill"], .99)
		t.Logf("%d streams: between two tokens p50 %v, p99 %v; while 2,000 tokens are prefilled in %v p50 %v, p99 %v (of %d): %.2f times",
			streams, quantile(gaps["idle"], .5), idle, took, quantile(gaps["prefill"], .5), busy, len(gaps["prefill"]), float64(busy)/float64(idle))
		mu.Unlock()
		if busy > 3*idle {
			over++
		}
	}
	cancel()
	running.Wait()
	if over > 0 {
		t.Errorf("streams stuttered by more than three times in %d rounds of %d", over, *latencyRounds)
	}
}

// cold is the time to the first token of a prompt of 1,000 tokens and a few of its own.
func (p *process) cold(t *testing.T, seed int) time.Duration {
	t.Helper()
	began := time.Now()
	var first time.Duration
	prompt := append(someTokens(1000, 7*seed), someTokens(8, int(began.UnixNano()%1000))...)
	if err := p.tokenTimes(t.Context(), prompt, 1, func(now time.Time) { first = now.Sub(began) }); err != nil {
		t.Fatal(err)
	}
	return first
}
