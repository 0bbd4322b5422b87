package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sullae/sullae/collective/registry"
)

// suspicion is how long a worker that failed is left out while others could do;
// twice as long each time that it fails again, at most longSuspicion. It is
// forgiven once it was not suspected for a while, and a new process is not the one
// that failed. Workers that cannot reach each other are another matter (rift).
const (
	suspicion     = 3 * time.Second
	longSuspicion = 12 * time.Second
	forgiven      = time.Minute
)

// doubt is a suspicion.
type doubt struct {
	instance string // of the worker's process
	since    time.Time
	until    time.Time
	times    int
}

// rankError is a failure that names its worker.
type rankError struct {
	worker string
	lost   bool // the worker itself does not answer
	fatal  bool // trying again won't help: damaged weights, too little memory
	// unknown: it refuses, as a worker does that has not been in this coordinator's
	// last epoch and cannot read etcd.
	unknown bool
	others  []string // that would refuse likewise
	// sequence, if not 0, is at fault by itself: it would fail again.
	sequence uint64
	// apart are workers that it and they cannot reach, though it answers.
	apart []string
	err   error
}

func (e *rankError) Error() string { return fmt.Sprintf("worker %s: %v", e.worker, e.err) }
func (e *rankError) Unwrap() error { return e.err }

// watcher keeps the list of workers that a group may use. One goroutine uses it.
type watcher struct {
	// heals is awaitReach.
	heals func(ctx context.Context, from, to registry.Worker) bool

	ctx       context.Context // of all that it starts
	cfg       Config
	updates   <-chan []registry.Worker
	workers   []registry.Worker
	suspects  map[string]doubt  // by worker
	unknown   map[string]string // instances of workers that refuse while etcd is away
	away      func() bool       // whether it is; nil: it is not
	rifts     []*rift
	drained   map[string]bool   // by an operator
	others    func() bool       // whether other groups serve; nil: there are none
	last      []registry.Worker // of the last epoch, by rank
	inherited int               // ranks of the epoch before this coordinator led
	moreSince time.Time         // since when more workers are there than the epoch has; zero: they are not
}

func newWatcher(ctx context.Context, cfg Config) *watcher {
	heals := func(ctx context.Context, from, to registry.Worker) bool {
		return awaitReach(ctx, from, to, cfg.DialOptions)
	}
	return &watcher{ctx: ctx, heals: heals, cfg: cfg, updates: cfg.Placement.WatchWorkers(ctx), suspects: map[string]doubt{}, unknown: map[string]string{}, drained: map[string]bool{}}
}

// inherit takes over the order of the epoch before this coordinator led, so that
// workers keep the shares that they have in memory, and returns its record, the
// zero value where there is none.
func (w *watcher) inherit(ctx context.Context, cfg Config) registry.Generation {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	gen, err := cfg.Placement.ReadGeneration(ctx, cfg.Name)
	if err != nil {
		return registry.Generation{} // there is none, or etcd is away: any order will do
	}
	for _, r := range gen.Ranks {
		w.last = append(w.last, registry.Worker{ID: r.WorkerID})
	}
	w.inherited = len(w.last)
	return gen
}

// suspect leaves a worker out for a while.
func (w *watcher) suspect(err error) {
	var re *rankError
	if errors.As(err, &re) && len(re.apart) > 0 {
		w.part(re.worker, re.apart)
	} else if errors.As(err, &re) && re.unknown && w.away != nil && w.away() {
		for _, id := range append(re.others, re.worker) {
			w.unknown[id] = w.instance(id)
		}
	} else if errors.As(err, &re) && re.lost {
		now, d := time.Now(), w.suspects[re.worker]
		instance := w.instance(re.worker)
		if d.instance != instance || now.Sub(d.until) > forgiven {
			d = doubt{instance: instance}
		}
		d.since, d.until = now, now.Add(min(suspicion<<min(d.times, 8), longSuspicion))
		d.times++
		w.suspects[re.worker] = d
	}
}

// instance is that of a worker's process, as it is registered now.
func (w *watcher) instance(id string) string {
	for _, x := range w.workers {
		if x.ID == id {
			return x.Instance
		}
	}
	return ""
}

// settle is how long a newcomer must stay before a group forms anew for it.
const settle = time.Second

// update takes the latest list, if there is a new one.
func (w *watcher) update() error {
	select {
	case list, ok := <-w.updates:
		if !ok {
			return errors.New("the watch on workers ended")
		}
		w.workers = list
	default:
	}
	return nil
}

// grown reports whether a group of size ranks could have more by now.
func (w *watcher) grown(size int) bool {
	if min(len(w.usable()), w.cfg.Workers) <= size {
		w.moreSince = time.Time{}
		return false
	}
	if w.moreSince.IsZero() {
		w.moreSince = time.Now()
	}
	return time.Since(w.moreSince) >= settle
}

// usable lists the workers that can share a group: alive, staying, of this
// protocol, and all of one arithmetic class. Those of the last epoch come first,
// in their order, so that as many as can keep their share; then the others by id.
func (w *watcher) usable() []registry.Worker {
	trusted := w.trusted(longSuspicion)
	if out := w.together(trusted); len(out) >= w.cfg.MinWorkers {
		return out
	}
	if len(trusted) >= w.cfg.MinWorkers {
		return trusted
	}
	return w.trusted(suspicion) // without those that fail again and again it can't go on
}

// trusted is usable, with nobody suspected for longer than most.
func (w *watcher) trusted(most time.Duration) []registry.Worker {
	now := time.Now()
	var out []registry.Worker
	for _, x := range w.workers {
		d, suspected := w.suspects[x.ID]
		switch {
		case x.ProtocolVersion != ProtocolVersion, x.State == registry.Draining, w.drained[x.ID]:
		case suspected && d.instance == x.Instance && now.Before(d.until) && now.Sub(d.since) < most:
		case w.cfg.Dead != nil && w.cfg.Dead(x.ID):
		case w.away != nil && w.away() && x.Instance != "" && w.unknown[x.ID] == x.Instance:
		case w.cfg.Refused != nil && w.cfg.Refused(x) != "":
		case !w.cfg.Roster.free(w.cfg.Name, x):
		case len(out) > 0 && x.Class != out[0].Class:
		default:
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b registry.Worker) int {
		return cmp.Or(cmp.Compare(w.place(a.ID), w.place(b.ID)), strings.Compare(a.ID, b.ID))
	})
	return out
}

// holders are the addresses of workers that are no members, but there: those that
// leave, and spares.
func (w *watcher) holders(members []registry.Worker) (out []string) {
	for _, x := range w.workers {
		d, suspected := w.suspects[x.ID]
		switch {
		case slices.ContainsFunc(members, func(m registry.Worker) bool { return m.ID == x.ID }):
		case x.ProtocolVersion != ProtocolVersion:
		case suspected && d.instance == x.Instance && time.Now().Before(d.until):
		case w.cfg.Dead != nil && w.cfg.Dead(x.ID):
		default:
			out = append(out, x.Address)
		}
	}
	return out
}

// place is a worker's rank in the last epoch, or after all of those.
func (w *watcher) place(id string) int {
	for i, m := range w.last {
		if m.ID == id {
			return i
		}
	}
	return len(w.last)
}

// choose takes size workers. One that replaces a lost rank takes its place, so
// that the others keep theirs.
func (w *watcher) choose(have []registry.Worker, size int) []registry.Worker {
	have = have[:size]
	if size != len(w.last) {
		return have
	}
	out := make([]registry.Worker, size)
	taken := make([]bool, size)
	var fresh []registry.Worker
	for _, x := range have {
		if i := w.place(x.ID); i < size {
			out[i], taken[i] = x, true
		} else {
			fresh = append(fresh, x)
		}
	}
	for i := range out {
		if !taken[i] {
			out[i], fresh = fresh[0], fresh[1:]
		}
	}
	return out
}

// leaving reports whether a member is to leave, or has left, in order, and the
// others can do without it.
func (w *watcher) leaving(members []registry.Worker) bool {
	registered := map[string]registry.Worker{}
	for _, x := range w.workers {
		registered[x.ID] = x
	}
	for _, m := range members {
		x, there := registered[m.ID]
		if (there && x.State == registry.Draining || w.drained[m.ID]) && (len(w.usable()) >= w.cfg.MinWorkers || w.spare()) {
			return true
		}
	}
	return false
}

// missing reports whether one of the last epoch's workers is not there.
func (w *watcher) missing(have []registry.Worker) bool {
	return slices.ContainsFunc(w.last, func(m registry.Worker) bool {
		return !slices.ContainsFunc(have, func(x registry.Worker) bool { return x.ID == m.ID })
	})
}

// spare reports whether the requests could do without this group.
func (w *watcher) spare() bool { return w.others != nil && w.others() }

// mayReturn reports whether a worker of the last epoch that is missing now could
// be back soon: it is registered still, and not to leave.
func (w *watcher) mayReturn() bool {
	usable := w.usable()
	for _, m := range w.last {
		if slices.ContainsFunc(usable, func(x registry.Worker) bool { return x.ID == m.ID }) || w.drained[m.ID] || w.parted(m.ID) {
			continue
		}
		if slices.ContainsFunc(w.workers, func(x registry.Worker) bool { return x.ID == m.ID && x.State != registry.Draining }) {
			return true
		}
	}
	return false
}

// Incompatible says why a worker's version cannot be worked with, or "".
func Incompatible(x registry.Worker) string {
	if x.ProtocolVersion == ProtocolVersion {
		return ""
	}
	return fmt.Sprintf("(version %s) speaks cluster protocol %d, this coordinator %d: run the same version everywhere", x.Version, x.ProtocolVersion, ProtocolVersion)
}

// strangers says which workers are there but cannot join, and why.
func (w *watcher) strangers() string {
	var out string
	for _, x := range w.workers {
		if why := Incompatible(x); why != "" {
			out += fmt.Sprintf("; worker %s %s", x.ID, why)
		}
		if w.cfg.Refused != nil {
			if why := w.cfg.Refused(x); why != "" {
				out += fmt.Sprintf("; worker %s: %s", x.ID, why)
			}
		}
	}
	return out
}

// await returns the workers of the next epoch: as many as are wanted, or, when
// a group that has served lost some, those left once Regroup has passed. Where any
// number will do, a first epoch takes those that are there when none has come for
// a while, or at once where another coordinator's epoch had no more. While it waits it
// calls look for what operators have asked for, and report with what it lacks.
func (w *watcher) await(ctx context.Context, look func(), report func(string), served bool) ([]registry.Worker, error) {
	tick := time.NewTicker(100 * time.Millisecond) // suspicions end by time
	defer tick.Stop()
	began, changed, known := time.Now(), time.Now(), 0
	if err := w.update(); err != nil && ctx.Err() == nil {
		return nil, err
	}
	for {
		look()
		have := w.usable()
		if len(have) >= w.cfg.Workers {
			return w.choose(have, w.cfg.Workers), nil
		}
		if len(have) != known {
			changed, known = time.Now(), len(have)
		}
		if !served && w.cfg.anyNumber && len(have) >= w.cfg.MinWorkers && (time.Since(changed) >= settle || len(w.last) > 0 && !w.missing(have)) {
			return w.choose(have, len(have)), nil
		}
		if !served && w.inherited > 0 && len(have) >= max(w.cfg.MinWorkers, w.inherited-1) && time.Since(began) >= w.cfg.Regroup {
			return w.choose(have, len(have)), nil // of another coordinator's epoch one is lost
		}
		if served && len(have) >= w.cfg.MinWorkers && (time.Since(began) >= w.cfg.Regroup || !w.mayReturn()) {
			return w.choose(have, len(have)), nil
		}
		wanted := w.cfg.Workers
		if w.cfg.anyNumber {
			wanted = w.cfg.MinWorkers
		}
		report(fmt.Sprintf("%d of %d workers are there%s", len(have), wanted, w.strangers()))
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case list, ok := <-w.updates:
			if !ok {
				if ctx.Err() != nil {
					return nil, context.Cause(ctx)
				}
				return nil, errors.New("the watch on workers ended")
			}
			w.workers = list
		case <-tick.C:
		}
	}
}
