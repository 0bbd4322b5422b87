package sched

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sullae/sullae/collective/digest"
)

var (
	// ErrTooLong is a sequence that can never fit into the KV pool or the context.
	ErrTooLong = errors.New("sequence does not fit")
	// ErrQueueFull is a sequence that would wait behind too many others; the error
	// is a *QueueFullError.
	ErrQueueFull = errors.New("the queue is full")
)

// QueueFullError says how much waits, so that it can be estimated when to come
// again: Tokens over the group's rate of prefill, and Sequences over the rate at
// which sequences end.
type QueueFullError struct {
	Sequences int // waiting
	Tokens    int // of them, to be computed before each yields its next token
}

func (e *QueueFullError) Error() string {
	return fmt.Sprintf("%v: %d sequences with %d tokens are waiting", ErrQueueFull, e.Sequences, e.Tokens)
}

// Unwrap makes it an ErrQueueFull.
func (e *QueueFullError) Unwrap() error { return ErrQueueFull }

// Add queues sequences: all of them, or none where it returns an error. The
// choices of one request come in one call. A request may exceed the queue's
// bounds by itself where nothing else waits.
func (s *Scheduler) Add(rs ...Request) error {
	tokens := 0
	for _, r := range rs {
		if err := s.fitsEver(r); err != nil {
			return err
		}
		if len(r.Prompt) == 0 || s.byID[r.ID] != nil {
			panic(fmt.Sprintf("sched: sequence %d: empty prompt or known id", r.ID))
		}
		tokens += len(r.Prompt)
	}
	if s.waiting.len > 0 && s.full(len(rs), tokens) {
		return &QueueFullError{Sequences: s.waiting.len, Tokens: s.waiting.tokens}
	}
	for _, r := range rs {
		if s.cfg.Draft == nil {
			r.MaxDrafts = 0
		}
		s.enqueue(&sequence{Request: r, arrival: s.cfg.Arrivals.last.Add(1), tokens: slices.Clip(r.Prompt), hash: digest.Tokens(digest.Start, r.Prompt...), scored: 1})
	}
	return nil
}

// enqueue makes q, which has its tokens, wait at the place that its arrival gives it.
func (s *Scheduler) enqueue(q *sequence) {
	q.tenant = s.tenants.join(q.Tenant)
	q.until = s.validUntil(q)
	s.extendHashes(q)
	s.byID[q.ID] = q
	s.waiting.add(q)
}

func (s *Scheduler) fitsEver(r Request) error {
	total := len(r.Prompt) + r.MaxTokens
	if total > s.cfg.MaxModelLen {
		return fmt.Errorf("%w: %d prompt and %d new tokens in a context of %d", ErrTooLong, len(r.Prompt), r.MaxTokens, s.cfg.MaxModelLen)
	}
	if s.lacking(total, 0, 0) > s.pool.Total() {
		return fmt.Errorf("%w: %d tokens in a KV cache of %d", ErrTooLong, total, s.pool.Total()*s.pool.Size()/s.groups())
	}
	return nil
}

// full tells whether n more sequences would wait behind too much. It counts all
// that is unfinished, so that it does not matter whether a Reset has just put
// the running ones back.
func (s *Scheduler) full(n, tokens int) bool {
	if m := s.cfg.MaxWaiting; m > 0 && len(s.byID)+n > s.cfg.MaxSeqs+m {
		return true
	}
	m := s.cfg.MaxWaitingTokens
	return m > 0 && s.waiting.tokens+tokens > m
}
