// Package reload keeps in use what files say while the files change: it reads
// them again when they do, and goes on with what it had while they can't be read.
//
// It polls: a Kubernetes volume changes by turning a symbolic link over, which
// notification services report in as many ways as there are systems.
package reload

import (
	"context"
	"sync"
	"time"
)

// Value is what a set of files holds. It is safe for concurrent use.
type Value[T any] struct {
	cfg Config[T]

	mu     sync.Mutex
	now    T
	stamps stamps
	broken trouble
}

// Config says what is read, and who is told.
type Config[T any] struct {
	Files []string
	// Load reads the files. Its errors name the file and what to do.
	Load func() (T, error)
	// Changed is told of a new value that is in use from now on, Broken why the
	// files can't be used and what stays in use; once for each state of the files.
	// Both may be nil, and must not call the Value.
	Changed func(now T)
	Broken  func(err error, now T)
}

// trouble is a state of the files that cannot be used.
type trouble struct {
	stamps stamps
	since  time.Time
	said   bool
}

// Grace is how long files may not fit together before that is said: those who
// replace several do it one by one.
const Grace = time.Second

// every is how often Watch looks.
const every = 2 * time.Second

// New reads the files.
func New[T any](cfg Config[T]) (*Value[T], error) {
	// The stamps come first: files that change while they are read differ from
	// them, and so are read again.
	v := &Value[T]{cfg: cfg, stamps: stampsOf(cfg.Files)}
	var err error
	v.now, err = cfg.Load()
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Get is what the files hold now; where that is broken, what they held before.
func (v *Value[T]) Get() T { return v.at(time.Now()) }

func (v *Value[T]) at(now time.Time) T {
	v.mu.Lock()
	defer v.mu.Unlock()
	stamps := stampsOf(v.cfg.Files)
	if stamps.equal(v.stamps) {
		v.broken = trouble{}
		return v.now
	}
	next, err := v.cfg.Load()
	if err == nil {
		v.now, v.stamps, v.broken = next, stamps, trouble{}
		if v.cfg.Changed != nil {
			v.cfg.Changed(next)
		}
		return next
	}
	if v.broken.since.IsZero() || !v.broken.stamps.equal(stamps) {
		v.broken = trouble{stamps: stamps, since: now}
	}
	if !v.broken.said && now.Sub(v.broken.since) >= Grace {
		v.broken.said = true
		if v.cfg.Broken != nil {
			v.cfg.Broken(err, v.now)
		}
	}
	return v.now
}

// Last is the value in use, without a look at the files: for those who ask
// often, beside a Watch.
func (v *Value[T]) Last() T {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Watch looks at the files until ctx ends, so that new ones are taken up, or
// complained about, when they are put in place.
func (v *Value[T]) Watch(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		v.Get()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
