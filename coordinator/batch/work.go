package batch

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/sullae/sullae/coordinator/batch/batchfile"
	"github.com/sullae/sullae/coordinator/batch/runner"
)

// What ends a batch's work before its last line.
var (
	errCancelled = errors.New("the batch was cancelled")
	errExpired   = errors.New("the completion window has passed")
	errFull      = errors.New("the folder of batches is full")
)

// attempts is how often a line is sent that the server fails at.
const attempts = 3

func (s *Service) rules(b Batch) batchfile.Rules {
	return batchfile.Rules{URLs: []string{b.Endpoint}, MaxLineBytes: s.cfg.MaxLineBytes, MaxRequests: s.cfg.MaxRequests}
}

// check reads a batch's input whole, unless ctx ends.
func (s *Service) check(ctx context.Context, st *store, b Batch) (*batchfile.Index, error) {
	f, err := os.Open(st.data(b.InputFileID))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return batchfile.Check(untilDone{ctx, f}, s.rules(b))
}

// untilDone is a reader that a context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// validate checks a new batch's input.
func (s *Service) validate(ctx context.Context, st *store, b *batchRecord) error {
	x, err := s.check(ctx, st, st.view(b))
	bad, isBad := errors.AsType[*batchfile.InvalidError](err)
	if err != nil && !isBad {
		return err
	}
	return st.update(b, func(v *Batch) {
		switch {
		case v.Status != validating: // cancelled meanwhile
		case isBad:
			v.Errors = errorsOf(bad.Problems...)
			v.stamp(failed, st.now().Unix())
		default:
			v.RequestCounts.Total = x.Len()
			v.stamp(inProgress, st.now().Unix())
		}
	})
}

// view is a copy of what clients see.
func (st *store) view(b *batchRecord) Batch {
	st.mu.Lock()
	defer st.mu.Unlock()
	return b.Batch
}

// execute brings a batch from where it is to its end.
func (s *Service) execute(ctx context.Context, st *store, b *batchRecord) error {
	st.mu.Lock()
	end := b.End
	st.mu.Unlock()
	if end == "" {
		end, problem, err := s.work(ctx, st, b)
		if err != nil {
			return err
		}
		st.mu.Lock()
		next := *b
		if next.Batch.Status == cancelling { // asked for when all was answered
			end = cancelled
		}
		next.End = end
		if problem != nil {
			next.Batch.Errors = errorsOf(problem)
		}
		if end != cancelled {
			next.Batch.stamp(finalizing, st.now().Unix())
		}
		err = st.putLocked(b, next)
		st.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return s.finish(st, b)
}

// work answers what is not answered yet. It tells how the batch is to end; an
// error is one of the disk, or ctx's, and the batch goes on later.
func (s *Service) work(ctx context.Context, st *store, b *batchRecord) (end string, problem *batchfile.Problem, err error) {
	batch := st.view(b)
	j := &job{s: s, st: st, b: b, batch: batch}
	if j.x, err = s.check(ctx, st, batch); err != nil {
		if bad, ok := errors.AsType[*batchfile.InvalidError](err); ok && batch.Status == cancelling {
			return cancelled, nil, nil
		} else if ok {
			return failed, bad.Problems[0], nil
		}
		return "", nil, err
	}
	if err := j.open(); err != nil {
		return "", nil, err
	}
	defer j.close()

	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run, stop := context.WithDeadlineCause(run, time.Unix(batch.ExpiresAt, 0), errExpired)
	defer stop()
	st.mu.Lock()
	b.cancel = cancel
	if b.Batch.Status == cancelling {
		cancel(errCancelled)
	}
	st.mu.Unlock()
	defer func() {
		st.mu.Lock()
		b.cancel = nil
		st.mu.Unlock()
	}()

	do := func(ctx context.Context, req batchfile.Request) (runner.Reply, error) {
		return s.call(s.as(ctx, b.Owner), req)
	}
	r := &runner.Runner{Do: do, Write: j.write, Limit: s.limit, Attempts: attempts}
	err = j.eachLeft(func(next func() (batchfile.Request, error)) error { return r.Run(run, next) })
	switch {
	case ctx.Err() != nil:
		return "", nil, ctx.Err()
	case errors.Is(err, errCancelled):
		return cancelled, nil, j.giveUp(ctx, "batch_cancelled", "this request was not answered before the batch was cancelled")
	case err == nil || j.x.Left() == 0: // it may have ended while the last answer was written
		return completed, nil, nil
	case errors.Is(err, errExpired):
		return expired, nil, j.giveUp(ctx, "batch_expired", "this request could not be answered before the completion window passed")
	case errors.Is(err, errFull):
		return failed, &batchfile.Problem{Code: "storage_full", Message: "the answers take more room than the server has for batches: delete files and create the batch again"}, nil
	}
	return "", nil, err
}
