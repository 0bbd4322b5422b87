package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// errClosed is the cause that a Stream's sequences see when it is closed.
var errClosed = errors.New("the stream was closed")

// Stream is a running request. Next and Close are for one goroutine.
//
// A slow reader never slows the engine: deltas wait here, and there are never
// more of them than the context has tokens.
type Stream struct {
	svc     *Service
	plan    *plan
	start   time.Time
	ctx     context.Context
	cancel  context.CancelCauseFunc
	wg      sync.WaitGroup
	prompts []*promptState
	closed  bool
	caller  Caller
	span    trace.Span // nil: no traces are made
	usage   Usage
	content *content // what was said, where the audit keeps it

	wake chan struct{} // holds one: something is new below

	mu    sync.Mutex
	queue []Item
	left  int // choices that haven't ended
	err   error

	completionTokens int
	longest          int // choice, in tokens
	reasons          []string
}

// ID is the request's id.
func (st *Stream) ID() string { return st.plan.id }

// N is the number of choices of each prompt.
func (st *Stream) N() int { return st.plan.n }

// Prompts is the number of prompts.
func (st *Stream) Prompts() int { return len(st.prompts) }

// Seed is the request's seed, given or drawn.
func (st *Stream) Seed() uint64 { return st.plan.sampling.Seed }

// Next waits for the next item. It returns io.EOF after all choices have
// finished; an engine's error, or the cause of the context's end, ends the
// stream earlier, and all its choices.
func (st *Stream) Next() (Item, error) {
	for {
		st.mu.Lock()
		if len(st.queue) > 0 {
			it := st.queue[0]
			st.queue[0] = Item{}
			st.queue = st.queue[1:]
			st.mu.Unlock()
			return it, nil
		}
		err, left := st.err, st.left
		st.mu.Unlock()
		switch {
		case err != nil:
			return Item{}, err
		case left == 0:
			return Item{}, io.EOF
		}
		<-st.wake // a choice that sees the context's end wakes us, too
	}
}

// Pending reports whether Next would return at once: an edge that has more to
// write puts off flushing.
func (st *Stream) Pending() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.queue) > 0 || st.left == 0 || st.err != nil
}

// Close ends the sequences that still run, and waits for the stream's
// goroutines. It may be called more than once.
func (st *Stream) Close() {
	if st.closed {
		return
	}
	st.closed = true
	st.cancel(errClosed)
	st.wg.Wait()
	st.mu.Lock()
	err, completion := st.err, st.completionTokens
	st.mu.Unlock()
	st.usage.End()
	st.svc.metrics.longest.Observe(float64(st.longest))
	prompt := 0
	for _, ps := range st.prompts {
		prompt += len(ps.info.TokenIDs)
	}
	attrs := []slog.Attr{
		slog.String("req", st.plan.id),
		slog.String("caller", st.caller.Name),
		slog.Int("choices", len(st.prompts)*st.plan.n),
		slog.Int("prompt_tokens", prompt),
		slog.Int("completion_tokens", completion),
		slog.Duration("took", st.svc.now().Sub(st.start)),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	st.svc.log.LogAttrs(context.WithoutCancel(st.ctx), slog.LevelInfo, "request ended", attrs...)
	st.traceEnd(completion, err)
	st.svc.auditEnd(st, prompt, completion, err)
}

// push queues a delta; its prompt's info goes ahead of the first one, once it
// is complete. Nothing is told before there is a token, so that an edge can
// still answer with an error until then.
func (st *Stream) push(ps *promptState, d *Delta) {
	scored := d.Index%st.plan.n == 0 && ps.scored()
	st.mu.Lock()
	defer st.mu.Unlock()
	if d.Finish != nil {
		st.completionTokens += d.Finish.CompletionTokens
		st.longest = max(st.longest, d.Finish.CompletionTokens)
		st.reasons = append(st.reasons, d.Finish.Reason.String())
	}
	st.content.add(d)
	ps.ready = ps.ready || scored
	if !ps.ready {
		ps.held = append(ps.held, d)
		return
	}
	if !ps.sent {
		ps.sent = true
		st.queue = append(st.queue, Item{Prompt: ps.info})
		for _, h := range ps.held {
			st.queue = append(st.queue, Item{Delta: h})
		}
		ps.held = nil
	}
	st.queue = append(st.queue, Item{Delta: d})
	st.notify()
}

// choiceEnded counts a choice out; an error ends the others as well.
func (st *Stream) choiceEnded(err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.left--
	if err != nil && st.err == nil {
		st.err = err
		st.cancel(err)
	}
	st.notify()
}

func (st *Stream) notify() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}
