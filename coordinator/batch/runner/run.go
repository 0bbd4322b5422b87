// Package runner answers the requests of a batch: as many at once as the server
// bears, each until it has an answer that will not change, and each answer on
// the disk before it counts.
package runner

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sullae/sullae/coordinator/batch/batchfile"
)

// Runner is how a batch is run.
type Runner struct {
	// Do makes one attempt. It is called by many goroutines at once.
	Do func(context.Context, batchfile.Request) (Reply, error)
	// Write puts answers on the disk; one call at a time. Its error ends the run.
	Write func([]batchfile.Answer) error
	Limit *Limit
	// Attempts is how often a request is sent that the server fails at (500,
	// 502, 504, a broken connection); then that is its answer.
	Attempts int
	// Patience is how long the server may refuse or be away; 0: for ever.
	Patience time.Duration
	// OnRetry, if set, is told of attempts that are to be repeated.
	OnRetry func(req batchfile.Request, because error, after time.Duration)

	heard atomic.Int64 // when the last answer came
}

// Run answers the requests that next gives, until io.EOF. It returns when
// nothing that it began is left: answers that came are written, whatever ends
// the run. Requests without an answer may simply be given to a later run.
func (r *Runner) Run(ctx context.Context, next func() (batchfile.Request, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.heard.Store(time.Now().UnixNano())

	answers := make(chan batchfile.Answer, 64)
	var written sync.WaitGroup
	written.Go(func() { r.write(answers, cancel) })
	var asked sync.WaitGroup
	err := r.ask(ctx, cancel, next, answers, &asked)
	if err != nil {
		cancel(err)
	}
	asked.Wait()
	close(answers)
	written.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (r *Runner) ask(ctx context.Context, fail context.CancelCauseFunc, next func() (batchfile.Request, error), answers chan<- batchfile.Answer, asked *sync.WaitGroup) error {
	// What is held in memory is bounded, too, while most of it waits.
	hands := make(chan struct{}, r.Limit.max)
	for {
		select {
		case hands <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		req, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		asked.Go(func() {
			defer func() { <-hands }()
			a, err := r.answer(ctx, req)
			if err != nil {
				fail(err)
				return
			}
			answers <- a // the writer reads on, whatever happens
		})
	}
}

// write puts answers on the disk, all that are there at once: one wait for the
// disk then serves many.
func (r *Runner) write(answers <-chan batchfile.Answer, fail context.CancelCauseFunc) {
	var broken bool
	for a := range answers {
		group := []batchfile.Answer{a}
	collect:
		for len(group) < cap(answers) {
			select {
			case more, ok := <-answers:
				if !ok {
					break collect
				}
				group = append(group, more)
			default:
				break collect
			}
		}
		if broken {
			continue
		}
		if err := r.Write(group); err != nil {
			broken = true
			fail(err)
		}
	}
}
