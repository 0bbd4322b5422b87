//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sullae/sullae/proto/client"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// streams is how many clients ask at once: half by gRPC, which takes broken
// streams up again, half by plain HTTP, which does not.
const streams = 8

// load keeps streams running and compares each answer with the undisturbed one.
type load struct {
	access
	want    [streams][]int32
	running int // streams

	mu       sync.Mutex
	answers  int
	failures []string
	pause    time.Duration // the longest between two deltas

	grpcClient *client.Client
	cancel     context.CancelFunc
	wg         sync.WaitGroup
}

// newLoad asks every stream's question once, one after the other.
func newLoad(ctx context.Context, a access) (*load, error) {
	l := &load{access: a}
	c, err := a.dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for i := range streams {
		if l.want[i], err = l.askGRPC(ctx, c, i); err != nil {
			return nil, err
		}
		again, err := l.askHTTP(ctx, i)
		if err != nil {
			return nil, err
		}
		if len(l.want[i]) != answerTokens || !slices.Equal(again, l.want[i]) {
			return nil, fmt.Errorf("stream %d: gRPC gives %d tokens, HTTP %d, or others", i, len(l.want[i]), len(again))
		}
	}
	return l, nil
}

// start runs the streams until stop; with resuming, only those of gRPC.
func (l *load) start(ctx context.Context, resuming bool) error {
	ctx, l.cancel = context.WithCancel(ctx)
	c, err := l.dial()
	if err != nil {
		return err
	}
	l.running = 0
	for i := range streams {
		if resuming && i%2 == 1 {
			continue
		}
		l.running++
		l.wg.Go(func() {
			for ctx.Err() == nil {
				ask := l.askHTTP
				if i%2 == 0 {
					ask = func(ctx context.Context, i int) ([]int32, error) { return l.askGRPC(ctx, c, i) }
				}
				got, err := ask(ctx, i)
				if ctx.Err() != nil {
					return
				}
				l.note(i, got, err)
			}
		})
	}
	l.grpcClient = c
	return nil
}

func (l *load) note(i int, got []int32, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers++
	switch {
	case err != nil:
		l.failures = append(l.failures, fmt.Sprintf("%s  stream %d (%s): %v", time.Now().Format("15:04:05.000"), i, []string{"gRPC", "HTTP"}[i%2], err))
	case !slices.Equal(got, l.want[i]):
		l.failures = append(l.failures, fmt.Sprintf("stream %d: other tokens than undisturbed", i))
	}
}

// during runs f and reports what the streams saw meanwhile and until each has
// had two more answers.
func (l *load) during(ctx context.Context, what string, f func() error) error {
	l.mu.Lock()
	before, began := l.answers, time.Now()
	l.pause = 0
	l.mu.Unlock()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	took := time.Since(began)
	l.mu.Lock()
	done := l.answers
	l.mu.Unlock()
	err := await(ctx, 2*time.Minute, "two more answers of each stream", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if n := l.answers - done; n < 2*l.running {
			return fmt.Errorf("%d of %d answers", n, 2*l.running)
		}
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	say("%s: %.1f s; %d answers of %d streams, %d failed, longest pause in a stream %.1f s", what, took.Seconds(), l.answers-before, l.running, len(l.failures), l.pause.Seconds())
	if len(l.failures) > 0 {
		return fmt.Errorf("%s: %d requests failed or changed:\n%s", what, len(l.failures), strings.Join(l.failures[:min(8, len(l.failures))], "\n"))
	}
	return err
}

func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
	l.grpcClient.Close()
}

// beat notes the time since a stream's last delta.
func (l *load) beat(last *time.Time) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pause = max(l.pause, now.Sub(*last))
	*last = now
}

// answerTokens is the length of each answer.
const answerTokens = 400

func (l *load) askGRPC(ctx context.Context, c *client.Client, i int) (ids []int32, err error) {
	temperature, tokens, seed := float32(1), int32(answerTokens), uint64(i+1)
	last := time.Now()
	s, err := c.Generate(ctx, &sullaev1.GenerateRequest{
		Prompt:   &sullaev1.GenerateRequest_TokenIds{TokenIds: &sullaev1.TokenIds{Ids: []int32{5, 6, 7, int32(i)}}},
		Sampling: &sullaev1.Sampling{Temperature: &temperature, Seed: &seed},
		Stopping: &sullaev1.Stopping{MaxTokens: &tokens, IgnoreEos: true},
	})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for d, err := range s.All() {
		if err != nil {
			return ids, fmt.Errorf("after %d tokens: %w", len(ids), err)
		}
		ids = append(ids, d.GetTokenIds()...)
		l.beat(&last)
	}
	return ids, nil
}

func (l *load) askHTTP(ctx context.Context, i int) (ids []int32, err error) {
	last := time.Now()
	// The key has Go's client send it again where a kept connection was closed
	// before an answer began.
	res, err := l.send(ctx, "POST", "/v1/completions", map[string]any{"prompt": []int{5, 6, 7, i}, "temperature": 1, "seed": i + 1, "max_tokens": answerTokens,
		"ignore_eos": true, "return_token_ids": true, "stream": true}, fmt.Sprint("Idempotency-Key: stream-", i))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return nil, fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(text))
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			return ids, nil
		}
		var delta struct {
			Choices []struct {
				TokenIDs []int32 `json:"token_ids"`
			} `json:"choices"`
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal([]byte(data), &delta); err != nil || delta.Error != nil {
			return ids, fmt.Errorf("after %d tokens: %s", len(ids), data)
		}
		for _, c := range delta.Choices {
			ids = append(ids, c.TokenIDs...)
		}
		l.beat(&last)
	}
	return ids, fmt.Errorf("after %d tokens the stream broke: %v", len(ids), lines.Err())
}
