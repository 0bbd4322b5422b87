package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/proto/client"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// askTimeout is when a request that is not answered counts as a hang.
const askTimeout = 3 * time.Minute

// outcome is one request and what became of it.
type outcome struct {
	began, ended time.Time
	err          error
	deltas       []time.Time
}

// pause is the longest time without a delta that ended after t.
func (o outcome) pause(t time.Time) (longest time.Duration) {
	for i := 1; i < len(o.deltas); i++ {
		if o.deltas[i].After(t) {
			longest = max(longest, o.deltas[i].Sub(o.deltas[i-1]))
		}
	}
	return longest
}

// ask puts one question. The answer is a text that has everything: tokens, text,
// log-probabilities bit for bit, reasons of the end. onDelta may be nil.
func (c *Cluster) ask(ctx context.Context, q question, onDelta func()) (answer string, o outcome) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(q.patience, askTimeout))
	defer cancel()
	o.began = time.Now()
	var s *client.Stream
	if q.chat != nil {
		s, o.err = c.client.Chat(ctx, q.chat)
	} else {
		s, o.err = c.client.Generate(ctx, q.generate)
	}
	var parts []*strings.Builder
	if o.err == nil {
		for d, err := range s.All() {
			if err != nil {
				o.err = err
				break
			}
			o.deltas = append(o.deltas, time.Now())
			if onDelta != nil {
				onDelta()
			}
			for len(parts) <= int(d.Index) {
				parts = append(parts, &strings.Builder{})
			}
			write(parts[d.Index], d)
		}
	}
	o.ended = time.Now()
	for i := range parts {
		answer += fmt.Sprintf("choice %d:%s\n", i, parts[i].String())
	}
	return answer, o
}

// write adds a delta to its choice's answer. How text is cut into deltas is not
// part of the answer.
func write(b *strings.Builder, d *sullaev1.Delta) {
	for _, id := range d.TokenIds {
		fmt.Fprintf(b, " %d", id)
	}
	for _, l := range d.Logprobs {
		fmt.Fprintf(b, " %08x", math.Float32bits(l.Logprob))
		for _, a := range l.Top {
			fmt.Fprintf(b, "/%d:%08x", a.TokenId, math.Float32bits(a.Logprob))
		}
	}
	if f := d.Finish; f != nil {
		fmt.Fprintf(b, " %v after %d", f.Reason, f.CompletionTokens)
	}
}

// load is questions and their undisturbed answers.
type load struct {
	c         *Cluster
	questions []question
	want      []string

	mu       sync.Mutex
	outcomes []outcome
}

// newLoad asks every question of the undisturbed cluster, twice.
func (c *Cluster) newLoad(ctx context.Context, n, tokens int) (*load, error) {
	l := &load{c: c, questions: questions(n, tokens), want: make([]string, n)}
	var wg sync.WaitGroup
	failed := make([]error, n)
	began := time.Now()
	for i, q := range l.questions {
		wg.Go(func() {
			var o outcome
			l.want[i], o = c.ask(ctx, q, nil)
			failed[i] = o.err
		})
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, fmt.Errorf("undisturbed: %w", err)
	}
	c.say("undisturbed, %d streams together take %.1f s", n, time.Since(began).Seconds())
	for i := range l.questions {
		wg.Go(func() { l.ask(ctx, i, nil) })
	}
	wg.Wait()
	l.outcomes = nil
	return l, ctx.Err()
}

// ask asks question i and judges the answer. A refusal is no break of a promise
// by itself; whoever promised none looks at the outcome.
func (l *load) ask(ctx context.Context, i int, onDelta func()) outcome {
	got, o := l.c.ask(ctx, l.questions[i], onDelta)
	name := l.questions[i].name
	switch {
	case ctx.Err() != nil:
		return o
	case o.err == nil && got != l.want[i]:
		l.c.violate("%s (%d): another answer than undisturbed, %s", name, i, difference(l.want[i], got))
	case o.err != nil && !refusal(o.err):
		l.c.violate("%s (%d) after %.1f s and %d deltas: %v", name, i, o.ended.Sub(o.began).Seconds(), len(o.deltas), o.err)
	}
	l.mu.Lock()
	l.outcomes = append(l.outcomes, o)
	l.mu.Unlock()
	return o
}

// refusal reports a documented answer to a request that cannot be served now. A
// request that ran into askTimeout is none: it hangs.
func refusal(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted:
		return true
	}
	return false
}

// difference says where two answers part.
func difference(want, got string) string {
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	clip := func(s string) string { return s[max(0, min(i, len(s))-30):min(len(s), i+30)] }
	return fmt.Sprintf("at byte %d of %d: want ...%q, got ...%q", i, len(want), clip(want), clip(got))
}

// keep asks questions in turn on each of the streams until the returned function
// is called; that waits for the last answers.
func (l *load) keep(ctx context.Context, streams int) (stop func()) {
	over := make(chan struct{})
	var wg sync.WaitGroup
	for s := range streams {
		wg.Go(func() {
			for i := s; ; i += streams {
				select {
				case <-over:
					return
				case <-ctx.Done():
					return
				default:
				}
				if o := l.ask(ctx, i%len(l.questions), nil); o.err != nil {
					select { // as a client would, after a refusal
					case <-time.After(500 * time.Millisecond):
					case <-over:
						return
					}
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(over); wg.Wait() })
}

// tally counts answers, refusals, and the longest pause of a stream after t.
func (l *load) tally(t time.Time) (answered, refused int, longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.outcomes {
		switch {
		case o.err == nil:
			answered++
		case refusal(o.err):
			refused++
		}
		longest = max(longest, o.pause(t))
	}
	return answered, refused, longest
}

// refusal is the first refusal's error.
func (l *load) refusal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.outcomes {
		if o.err != nil {
			return o.err
		}
	}
	return nil
}
