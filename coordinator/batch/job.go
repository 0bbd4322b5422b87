package batch

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/sullae/sullae/coordinator/batch/batchfile"
)

// job is the work on one batch.
type job struct {
	s           *Service
	st          *store
	b           *batchRecord
	batch       Batch // as it was when the work began
	output, bad *batchfile.Log

	mu sync.Mutex // guards x: lines are read while answers are written
	x  *batchfile.Index
}

// open reads what is answered already.
func (j *job) open() (err error) {
	id := j.batch.ID
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
	in, err := os.Open(j.st.data(j.batch.InputFileID))
	if err != nil {
		return err
	}
	defer in.Close()
	r := batchfile.NewReader(in, j.s.rules(j.batch))
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
