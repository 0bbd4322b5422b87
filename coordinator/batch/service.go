package batch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sullae/sullae/coordinator/batch/batchfile"
	"github.com/sullae/sullae/coordinator/batch/runner"
	"github.com/sullae/sullae/coordinator/edge"
)

const (
	// lookAgain is how often what depends on the clock is looked at.
	lookAgain = time.Second
	// diskPause is the wait after an error of the disk.
	diskPause = 10 * time.Second
	// sweepEvery is how often old files are deleted.
	sweepEvery = time.Minute
)

// Service serves files and batches. Run must run for it to do so.
type Service struct {
	cfg     Config
	limit   *runner.Limit
	store   atomic.Pointer[store] // nil until Run has the folder
	routes  *edge.Mux
	uploads chan struct{}
	// interactive is how many requests besides the batches' are under way.
	interactive atomic.Int64
}

// New makes a service.
func New(c Config) *Service {
	s := &Service{cfg: c.withDefaults(), uploads: make(chan struct{}, maxUploads)}
	s.limit = runner.NewLimit(s.cfg.Concurrency)
	s.limit.Ceiling = s.ceiling
	s.routes = s.mux()
	return s
}

// ceiling is how many lines may be under way now.
func (s *Service) ceiling() int {
	if s.interactive.Load() > 0 || s.cfg.Busy != nil && s.cfg.Busy() {
		return s.cfg.BusyConcurrency
	}
	return s.cfg.Concurrency
}

// Check is an error where the folder cannot be used: before anything is served,
// since Run looks at it when this process leads.
func (s *Service) Check() error {
	if s.cfg.Dir == "" {
		return nil
	}
	f, err := s.lockFile()
	if err != nil {
		return fmt.Errorf("--batch-dir %s: %w", s.cfg.Dir, err)
	}
	return f.Close()
}

// Run works on batches until ctx ends; it returns when nothing of its own is
// left running, and what was not finished goes on with the next Run. Where
// another process has the folder it waits until that one ends.
func (s *Service) Run(ctx context.Context) error {
	if s.cfg.Dir == "" {
		<-ctx.Done()
		return nil
	}
	lock, err := s.lock(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("--batch-dir %s: %w", s.cfg.Dir, err)
	}
	defer lock.Close()
	st, err := openStore(s.cfg.Dir, s.cfg.Now, s.cfg.Logger)
	if err != nil {
		return fmt.Errorf("--batch-dir %s: %w", s.cfg.Dir, err)
	}
	s.store.Store(st)
	defer s.store.Store(nil)

	eg, ctx := errgroup.WithContext(ctx)
	eg.Go(func() error { return s.loop(ctx, st, isNew, s.validate) })
	eg.Go(func() error { return s.loop(ctx, st, isOver, s.execute) })
	for range s.cfg.Running {
		eg.Go(func() error { return s.loop(ctx, st, isRunnable, s.execute) })
	}
	eg.Go(func() error { return s.sweep(ctx, st) })
	return eg.Wait()
}

// lockFile makes the folder, and the file in it that who uses it locks.
func (s *Service) lockFile() (*os.File, error) {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(s.cfg.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
}

// lock takes the folder, which lasts until the file is closed.
func (s *Service) lock(ctx context.Context) (*os.File, error) {
	f, err := s.lockFile()
	if err != nil {
		return nil, err
	}
	for told := false; ; told = true {
		err := batchfile.Lock(f)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, batchfile.ErrLocked) {
			f.Close()
			return nil, err
		}
		if !told {
			s.cfg.Logger.Info("another process has the batches; waiting for its end", "dir", s.cfg.Dir)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(lookAgain):
		}
	}
}

// What a goroutine of Run looks for: batches to validate, to work on, and those
// that only need their end, which must not wait for the others' work.
func isNew(b *batchRecord, _ time.Time) bool { return b.Batch.Status == validating }

func isOver(b *batchRecord, now time.Time) bool {
	switch b.Batch.Status {
	case cancelling, finalizing:
		return true
	}
	return b.Batch.Status == inProgress && now.Unix() >= b.Batch.ExpiresAt
}

func isRunnable(b *batchRecord, now time.Time) bool {
	return b.Batch.Status == inProgress && !isOver(b, now)
}

// loop does what is to be done for the oldest batch that is wanted, and again.
func (s *Service) loop(ctx context.Context, st *store, wanted func(*batchRecord, time.Time) bool, do func(context.Context, *store, *batchRecord) error) error {
	for {
		b, changed := st.take(wanted)
		if b == nil {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			case <-time.After(lookAgain):
			}
			continue
		}
		err := do(ctx, st, b)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.cfg.Logger.Error("a batch can't go on now", "batch", st.view(b).ID, "err", err, "again", diskPause)
		}
		st.putBack(b, err)
	}
}

// take gives the oldest batch that is wanted and that nobody has; else a channel
// that tells of changes.
func (st *store) take(wanted func(*batchRecord, time.Time) bool) (*batchRecord, <-chan struct{}) {
	now := st.now()
	st.mu.Lock()
	defer st.mu.Unlock()
	var oldest *batchRecord
	for _, b := range st.batches {
		if !b.taken && wanted(b, now) && !now.Before(b.retry) && (oldest == nil || b.Order < oldest.Order) {
			oldest = b
		}
	}
	if oldest != nil {
		oldest.taken = true
	}
	return oldest, st.changed
}

func (st *store) putBack(b *batchRecord, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	b.taken = false
	if err != nil {
		b.retry = st.now().Add(diskPause)
	}
	st.wakeLocked()
}

func (s *Service) sweep(ctx context.Context, st *store) error {
	for {
		if err := st.expire(s.cfg.KeepFiles); err != nil {
			s.cfg.Logger.Error("old files can't be deleted", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(sweepEvery):
		}
	}
}
