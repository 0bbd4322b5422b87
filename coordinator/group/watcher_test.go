package group

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator/gateway"
)

// placement is a list of workers that a test changes.
type placement struct {
	Placement
	updates chan []registry.Worker
	gen     registry.Generation
}

func (p *placement) WatchWorkers(context.Context) <-chan []registry.Worker { return p.updates }

func (p *placement) ReadGeneration(context.Context, string) (registry.Generation, error) {
	if p.gen.Epoch == 0 {
		return p.gen, registry.ErrNoGeneration
	}
	return p.gen, nil
}

func (p *placement) set(ids ...string) {
	var list []registry.Worker
	for _, id := range ids {
		w := registry.Worker{ID: id, ProtocolVersion: ProtocolVersion, Class: "cpu-f32"}
		switch id[0] {
		case '-':
			w.ID, w.State = id[1:], registry.Draining
		case '!':
			w.ID, w.ProtocolVersion, w.Version = id[1:], ProtocolVersion+1, "9.9"
		case '%':
			w.ID, w.Class = id[1:], "cuda"
		}
		list = append(list, w)
	}
	select {
	case <-p.updates: // coalesce, as the registry does
	default:
	}
	p.updates <- list
}

func names(ws []registry.Worker) string {
	var ids []string
	for _, w := range ws {
		ids = append(ids, w.ID)
	}
	return strings.Join(ids, " ")
}

func newTestWatcher(t *testing.T, cfg Config) (*watcher, *placement) {
	p := &placement{updates: make(chan []registry.Worker, 1)}
	cfg.Placement = p
	return newWatcher(t.Context(), cfg), p
}

// TestChoose: members keep their rank, a newcomer takes a lost one's place, and
// who drains, speaks another protocol or is of another class is left out.
func TestChoose(t *testing.T) {
	for name, c := range map[string]struct {
		last, there string
		want        string
	}{
		"first":               {"", "b a c", "a b c"},
		"a spare waits":       {"a b c", "a b c d", "a b c"},
		"a spare replaces":    {"c b a", "a c d", "c d a"},
		"two are replaced":    {"c b a", "d e a", "d e a"},
		"one drains":          {"a b c", "a -b c d", "a d c"},
		"another protocol":    {"", "!a b c d", "b c d"},
		"another class":       {"", "a b %c d", "a b d"},
		"a newcomer is first": {"x y z", "a y z x", "x y z"},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := newTestWatcher(t, Config{Workers: 3, MinWorkers: 1})
			for _, id := range strings.Fields(c.last) {
				w.last = append(w.last, registry.Worker{ID: id})
			}
			p.set(strings.Fields(c.there)...)
			got, err := w.await(t.Context(), func() {}, func(string) {}, false)
			if err != nil || names(got) != c.want {
				t.Errorf("%s, %v; want %s", names(got), err, c.want)
			}
		})
	}
}

// TestAwaitAnyNumber: a first epoch takes who is there once none has come for a
// while; no fewer than the least.
func TestAwaitAnyNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newTestWatcher(t, Config{Workers: 8, MinWorkers: 2, anyNumber: true})
		began := time.Now()
		go func() {
			for _, ids := range []string{"a", "a b", "a b c"} {
				time.Sleep(settle * 3 / 4)
				p.set(strings.Fields(ids)...)
			}
		}()
		got, err := w.await(t.Context(), func() {}, func(string) {}, false)
		if err != nil || names(got) != "a b c" {
			t.Errorf("%s, %v", names(got), err)
		}
		if d := time.Since(began); d < settle*3 || d > settle*4 {
			t.Errorf("took %v", d)
		}
	})
}

// TestAwait: a new group waits for all; one that has served goes on with fewer,
// after a wait for who may return, at once where nobody may.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := map[string]bool{}
		cfg := Config{Workers: 3, MinWorkers: 2, Regroup: 5 * time.Second, Dead: func(id string) bool { return dead[id] }}
		w, p := newTestWatcher(t, cfg)
		p.set("a", "b", "!c")
		var reason string
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		if _, err := w.await(ctx, func() {}, func(r string) { reason = r }, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a new group of two of three: %v", err)
		}
		cancel()
		if !strings.Contains(reason, "2 of 3") || !strings.Contains(reason, "worker c (version 9.9)") {
			t.Errorf("the reason is %q", reason)
		}

		w.last = []registry.Worker{{ID: "a"}, {ID: "b"}, {ID: "c"}}
		took := func(want string) time.Duration {
			t.Helper()
			began := time.Now()
			got, err := w.await(t.Context(), func() {}, func(string) {}, true)
			if err != nil || names(got) != want {
				t.Errorf("%s, %v; want %s", names(got), err, want)
			}
			return time.Since(began)
		}
		p.set("a", "b", "c")
		dead["c"] = true // registered still: it may come back
		if d := took("a b"); d < cfg.Regroup || d > cfg.Regroup+time.Second {
			t.Errorf("waited %v for a worker that may return", d)
		}
		p.set("a", "b", "-c")
		dead["c"] = false
		if d := took("a b"); d > time.Second {
			t.Errorf("waited %v for a worker that leaves", d)
		}
		w.suspect(&rankError{worker: "b", lost: true, err: errors.New("gone")})
		p.set("a", "b", "d")
		// c has left; b is suspected, but registered, and back after its suspicion.
		if d := took("a b d"); d != suspicion {
			t.Errorf("waited %v for a suspect, want %v", d, suspicion)
		}

		// A new leader goes on without one of the epoch that it finds recorded.
		w.inherited = 3
		p.set("a", "b")
		began := time.Now()
		if got, err := w.await(t.Context(), func() {}, func(string) {}, false); err != nil || names(got) != "a b" || time.Since(began) != cfg.Regroup {
			t.Errorf("a new leader: %s, %v after %v", names(got), err, time.Since(began))
		}
	})
}

// TestUnknown: while etcd is away who refuses because it does not know this
// coordinator is left out, and taken when etcd is back, or it is another process.
func TestUnknown(t *testing.T) {
	away := true
	w := &watcher{suspects: map[string]doubt{}, unknown: map[string]string{}, away: func() bool { return away },
		workers: []registry.Worker{{ID: "a", Instance: "1", ProtocolVersion: ProtocolVersion}, {ID: "b", Instance: "1", ProtocolVersion: ProtocolVersion}}}
	w.suspect(&rankError{worker: "b", unknown: true, err: errors.New("not of the current generation")})
	if got := names(w.usable()); got != "a" {
		t.Errorf("usable are %s", got)
	}
	w.workers[1].Instance = "2"
	if got := names(w.usable()); got != "a b" {
		t.Errorf("with another process usable are %s", got)
	}
	w.workers[1].Instance, away = "1", false
	if got := names(w.usable()); got != "a b" {
		t.Errorf("with etcd back usable are %s", got)
	}
}

// TestStrange: without etcd only those are asked that took the last epoch.
func TestStrange(t *testing.T) {
	f := formed{took: map[string]string{"a": "1", "b": "1"}}
	ws := []registry.Worker{{ID: "a", Instance: "1"}, {ID: "b", Instance: "1"}}
	if err := f.strange(ws); err != nil {
		t.Error(err)
	}
	ws[1].Instance = "2"
	var re *rankError
	if err := f.strange(append(ws, registry.Worker{ID: "c", Instance: "1"})); !errors.As(err, &re) || !re.unknown || !slices.Equal(re.others, []string{"b", "c"}) {
		t.Errorf("%+v", re)
	}
}

// TestGrownAndLeaving: when an epoch ends for others' sake.
func TestGrownAndLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newTestWatcher(t, Config{Workers: 3, MinWorkers: 1})
		members := []registry.Worker{{ID: "a"}, {ID: "b"}}
		p.set("a", "b", "c")
		if err := w.update(); err != nil {
			t.Fatal(err)
		}
		if w.grown(2) {
			t.Error("a newcomer counts before it has settled")
		}
		time.Sleep(settle)
		if !w.grown(2) || w.grown(3) {
			t.Error("a third worker that stays: grown(2), not grown(3)")
		}
		if w.leaving(members) {
			t.Error("nobody leaves")
		}
		p.set("a", "-b", "c")
		w.update()
		if !w.leaving(members) {
			t.Error("b drains")
		}
		p.set("-a", "-b")
		w.update()
		if w.leaving(members) {
			t.Error("who is the last may not leave")
		}
	})
}

// TestInherit: a new leader takes the order of the record.
func TestInherit(t *testing.T) {
	w, p := newTestWatcher(t, Config{Workers: 2})
	p.gen = registry.Generation{Epoch: 7, Ranks: []registry.GenerationRank{{WorkerID: "b"}, {WorkerID: "a"}}}
	w.inherit(t.Context(), w.cfg)
	p.set("a", "b")
	if got, _ := w.await(t.Context(), func() {}, func(string) {}, false); names(got) != "b a" {
		t.Errorf("%s, want the record's order", names(got))
	}
}

// TestInheritDrained: whom an operator keeps out stays out over a change of leader.
func TestInheritDrained(t *testing.T) {
	g := &Group{drain: map[string]bool{"x": true}}
	g.inheritDrained(registry.Generation{}) // no record
	g.Drain("b", true)
	g.Drain("a", true)
	if got := g.Drained(); !slices.Equal(got, []string{"a", "b", "x"}) {
		t.Errorf("drained %v", got)
	}
	next := &Group{drain: map[string]bool{"x": true}}
	next.inheritDrained(registry.Generation{Epoch: 7, Drained: []string{"a", "b"}})
	next.Drain("a", false)
	if got := next.Drained(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("the next leader keeps out %v", got)
	}
}

func TestStraggler(t *testing.T) {
	for _, c := range []struct {
		compute []float64
		want    int
	}{{nil, -1}, {[]float64{1}, -1}, {[]float64{1, 1.2, 1}, -1}, {[]float64{1, 1, 2}, 2}, {[]float64{3, 1}, 0}} {
		var s State
		for _, v := range c.compute {
			s.Timing = append(s.Timing, Timing{Compute: v})
		}
		if got := s.Straggler(); got != c.want {
			t.Errorf("%v: %d, want %d", c.compute, got, c.want)
		}
	}
}

// TestStream: events reach a slow reader in order, and a reader that leaves does
// not leave a goroutine.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		st := newStream(ctx, testSequence)
		for i := range 100 {
			st.push(eventOf(int32(i)))
		}
		st.end(eventOf(100))
		st.push(eventOf(101)) // too late
		var got []int32
		for e := range st.out {
			got = append(got, e.Token)
			time.Sleep(time.Millisecond)
		}
		if len(got) != 101 || !slices.IsSorted(got) {
			t.Errorf("%v", got)
		}
		cancel()
		left := newStream(ctx, testSequence)
		left.push(eventOf(1))
		synctest.Wait() // the bubble fails if the goroutine stays
	})
}

var testSequence = gateway.Sequence{RequestID: "r"}

func eventOf(token int32) gateway.Event { return gateway.Event{Token: token, HasToken: true} }

// TestSuspicionGrows: a worker that fails again and again is left out ever longer;
// its restarted process is not.
func TestSuspicionGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watcher{suspects: map[string]doubt{}, workers: []registry.Worker{{ID: "a", Instance: "1", ProtocolVersion: ProtocolVersion}}}
		w.cfg.MinWorkers = 0 // it can be done without
		for i, want := range []time.Duration{suspicion, 2 * suspicion, longSuspicion, longSuspicion} {
			w.suspect(&rankError{worker: "a", lost: true, err: errors.New("gone")})
			time.Sleep(want - 1)
			if len(w.usable()) != 0 {
				t.Errorf("failure %d: not left out for %v", i+1, want)
			}
			time.Sleep(1)
			if len(w.usable()) != 1 {
				t.Errorf("failure %d: left out for longer than %v", i+1, want)
			}
		}
		w.suspect(&rankError{worker: "a", lost: true, err: errors.New("gone")})
		w.workers[0].Instance = "2"
		if len(w.usable()) != 1 {
			t.Error("a new process is suspected")
		}
		w.workers[0].Instance = "1"
		time.Sleep(longSuspicion + forgiven + 1)
		w.suspect(&rankError{worker: "a", lost: true, err: errors.New("gone")})
		time.Sleep(suspicion)
		if len(w.usable()) != 1 {
			t.Error("an old failure is not forgiven")
		}
		w.cfg.MinWorkers = 1
		for range 3 {
			w.suspect(&rankError{worker: "a", lost: true, err: errors.New("gone")})
		}
		time.Sleep(suspicion)
		if len(w.usable()) != 1 {
			t.Error("the only worker is left out for long")
		}
	})
}
