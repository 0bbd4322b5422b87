package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var soakRequests = flag.Int("soak", 0, "how many requests TestSoak sends; 0: it is left out")

// metric is the sum of a metric's samples at the coordinator.
func (p *process) metric(t testing.TB, name string) float64 { return metricAt(t, p.http, name) }

func metricAt(t testing.TB, base, name string) (sum float64) {
	t.Helper()
	res, err := http.Get(base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if ok && (strings.HasPrefix(rest, "{") || strings.HasPrefix(rest, " ")) {
			v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			sum += v
		}
	}
	return sum
}

// usage is what a process holds.
type usage struct{ goroutines, files, resident float64 }

func usageAt(t testing.TB, base string) usage {
	t.Helper()
	return usage{metricAt(t, base, "go_goroutines"), metricAt(t, base, "process_open_fds"), metricAt(t, base, "process_resident_memory_bytes")}
}

// TestSoak sends many short requests, 64 at a time; a fifth are cancelled at random
// moments. None may fail, and afterwards nothing may be left: no block, goroutine
// or file, and no more memory than after the first tenth.
func TestSoak(t *testing.T) {
	if *soakRequests == 0 {
		t.Skip("needs -soak")
	}
	p := up(t, "--workers", "2", "--kv-tokens", "20000")
	s, err := p.status()
	if err != nil {
		t.Fatal(err)
	}
	bases := []string{p.http}
	for _, w := range s.Workers {
		bases = append(bases, "http://"+w.OpsAddress)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var answered, cancelled atomic.Int64
	ask := func(i int) error {
		rng := rand.New(rand.NewPCG(uint64(i), 1))
		body := map[string]any{"prompt": fmt.Sprintf("%d %s", rng.IntN(50), strings.Repeat("가나 ", rng.IntN(40))), "max_tokens": 1 + rng.IntN(40),
			"seed": i, "ignore_eos": true, "stream": rng.IntN(2) == 0, "user": strconv.Itoa(rng.IntN(5)), "priority": rng.IntN(3)}
		if rng.IntN(4) == 0 {
			body["prompt_lookup_num_tokens"] = 4
		}
		if rng.IntN(10) == 0 {
			body["guided_regex"] = `[가-힣]{2,5} \d{3}`
			delete(body, "ignore_eos")
		}
		raw, _ := json.Marshal(body)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		quits := rng.IntN(5) == 0
		if quits {
			time.AfterFunc(time.Duration(rng.IntN(60_000))*time.Microsecond, cancel)
		}
		req, err := http.NewRequestWithContext(ctx, "POST", p.http+"/v1/completions", bytes.NewReader(raw))
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		var text []byte
		if err == nil {
			text, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		switch {
		case err != nil && quits && ctx.Err() != nil:
			cancelled.Add(1)
			return nil
		case err != nil:
			return err
		case res.StatusCode != http.StatusOK, bytes.Contains(text, []byte(`"error"`)):
			return fmt.Errorf("%s: %s", res.Status, text)
		}
		answered.Add(1)
		return nil
	}
	run := func(from, to int) {
		t.Helper()
		next := atomic.Int64{}
		next.Store(int64(from))
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for i := int(next.Add(1)) - 1; i < to; i = int(next.Add(1)) - 1 {
					if err := ask(i); err != nil {
						t.Errorf("request %d: %v", i, err)
					}
				}
			})
		}
		wg.Wait()
		client.CloseIdleConnections()
	}
	settled := func() {
		eventually(t, 10*time.Second, "nothing runs or waits, and no block is held", func() bool {
			s, err := p.status()
			return err == nil && s.Group.Running+s.Group.Waiting == 0 && s.Group.KVBlocksFree == s.Group.KVBlocksTotal
		})
		time.Sleep(2 * time.Second) // connections end
	}
	first := *soakRequests / 10
	run(0, first)
	settled()
	var before []usage
	for _, b := range bases {
		before = append(before, usageAt(t, b))
	}
	began := time.Now()
	run(first, *soakRequests)
	t.Logf("%d answered, %d cancelled; %.0f a second", answered.Load(), cancelled.Load(), float64(*soakRequests-first)/time.Since(began).Seconds())
	settled()
	for i, b := range bases {
		after := usageAt(t, b)
		t.Logf("%s: %.0f goroutines, %.0f files, %.0f MB; after the first tenth %.0f, %.0f, %.0f", b,
			after.goroutines, after.files, after.resident/1e6, before[i].goroutines, before[i].files, before[i].resident/1e6)
		if after.goroutines > before[i].goroutines+5 || after.files > before[i].files+3 {
			t.Errorf("%s: goroutines or files are left", b)
		}
		if after.resident > 1.1*before[i].resident+20e6 {
			t.Errorf("%s: memory has grown", b)
		}
	}
	if cancelled.Load() < int64(*soakRequests)/50 {
		t.Errorf("only %d requests were cancelled in time", cancelled.Load())
	}
}
