package batch

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
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
func (s *store) view(b *batchRecord) Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
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

// job is the work on one batch.
type job struct {
	s           *Service
	st          *store
	b           *batchRecord
	output, bad *batchfile.Log

	mu sync.Mutex // guards x: lines are read while answers are written
	x  *batchfile.Index
}

// work answers what is not answered yet. It tells how the batch is to end; an
// error is one of the disk, or ctx's, and the batch goes on later.
func (s *Service) work(ctx context.Context, st *store, b *batchRecord) (end string, problem *batchfile.Problem, err error) {
	batch := st.view(b)
	j := &job{s: s, st: st, b: b}
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

	r := &runner.Runner{Do: s.call, Write: j.write, Limit: s.limit, Attempts: attempts}
	err = j.eachLeft(func(next func() (batchfile.Request, error)) error { return r.Run(run, next) })
	switch {
	case ctx.Err() != nil:
		return "", nil, ctx.Err()
	case errors.Is(err, errCancelled):
		return cancelled, nil, j.giveUp(ctx, "batch_cancelled", "this request was not answered before the batch was cancelled")
	case errors.Is(err, errExpired):
		return expired, nil, j.giveUp(ctx, "batch_expired", "this request could not be answered before the completion window passed")
	case errors.Is(err, errFull):
		return failed, &batchfile.Problem{Code: "storage_full", Message: "the answers take more room than the server has for batches: delete files and create the batch again"}, nil
	}
	return completed, nil, err
}

// open reads what is answered already.
func (j *job) open() (err error) {
	id := j.b.Batch.ID
	counts, usage := Counts{Total: j.x.Len()}, Usage{}
	for _, l := range []struct {
		to    **batchfile.Log
		ext   string
		count *int
	}{{&j.output, ".output", &counts.Completed}, {&j.bad, ".errors", &counts.Failed}} {
		if *l.to, err = batchfile.OpenLog(j.st.path(workDir, id, l.ext)); err != nil {
			j.close()
			return err
		}
		err := (*l.to).Recover(func(a *batchfile.Answer) error {
			*l.count++
			usage.add(a.Usage())
			return j.x.Mark(a.CustomID)
		})
		if err != nil {
			j.close()
			return err
		}
	}
	j.st.mu.Lock()
	defer j.st.mu.Unlock()
	j.b.Batch.RequestCounts, j.b.Batch.Usage = counts, usage
	return nil
}

func (j *job) close() {
	for _, l := range []*batchfile.Log{j.output, j.bad} {
		if l != nil {
			l.Close()
		}
	}
}

// eachLeft reads the input, and gives f the requests without an answer.
func (j *job) eachLeft(f func(next func() (batchfile.Request, error)) error) error {
	in, err := os.Open(j.st.data(j.b.Batch.InputFileID))
	if err != nil {
		return err
	}
	defer in.Close()
	r := batchfile.NewReader(in, j.s.rules(j.b.Batch))
	return f(func() (batchfile.Request, error) {
		for {
			req, err := r.Next()
			if err != nil {
				return req, err
			}
			j.mu.Lock()
			answered := j.x.Answered(req.Line)
			j.mu.Unlock()
			if !answered {
				return req, nil
			}
		}
	})
}

// write puts answers in their files, and counts them.
func (j *job) write(answers []batchfile.Answer) error {
	var good, bad []batchfile.Answer
	var usage batchfile.Usage
	for i := range answers {
		if a := &answers[i]; a.OK() {
			good = append(good, *a)
			u := a.Usage()
			usage.PromptTokens += u.PromptTokens
			usage.CompletionTokens += u.CompletionTokens
		} else {
			bad = append(bad, *a)
		}
	}
	for _, l := range []struct {
		log     *batchfile.Log
		answers []batchfile.Answer
	}{{j.output, good}, {j.bad, bad}} {
		if len(l.answers) == 0 {
			continue
		}
		before := l.log.Size()
		if err := l.log.Append(l.answers); err != nil {
			return err
		}
		j.mu.Lock()
		for i := range l.answers {
			if err := j.x.Mark(l.answers[i].CustomID); err != nil {
				panic(err) // each line is read once: a bug
			}
		}
		j.mu.Unlock()
		if !j.st.use(l.log.Size()-before, j.s.cfg.MaxTotalBytes) {
			j.st.use(l.log.Size()-before, 1<<62) // it is there, and counts
			return errFull
		}
	}
	j.st.mu.Lock()
	defer j.st.mu.Unlock()
	j.b.Batch.RequestCounts.Completed += len(good)
	j.b.Batch.RequestCounts.Failed += len(bad)
	j.b.Batch.Usage.add(usage)
	return nil
}

// giveUp answers what is left with an error.
func (j *job) giveUp(ctx context.Context, code, message string) error {
	return j.eachLeft(func(next func() (batchfile.Request, error)) error {
		for {
			var group []batchfile.Answer
			var err error
			for len(group) < 256 && err == nil {
				var req batchfile.Request
				if req, err = next(); err == nil {
					group = append(group, batchfile.Failed(req.CustomID, code, message))
				}
			}
			if err != nil && err != io.EOF {
				return err
			}
			// These few bytes are written even to a full folder.
			if len(group) > 0 {
				if werr := j.write(group); werr != nil && !errors.Is(werr, errFull) {
					return werr
				}
			}
			if err == io.EOF {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	})
}
