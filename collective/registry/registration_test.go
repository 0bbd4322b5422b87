package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sullae/sullae/collective/registry"
)

func TestWorkersComeAndGo(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		watch := follow(b.process().WatchWorkers(b.ctx))
		b.soon("an empty list first", seen(watch, ""))
		p := b.process()
		two := b.register(p, "w2")
		one := b.register(b.process(), "w1")
		b.soon("both, sorted", seen(watch, "w1 w2"))

		w := one.Record()
		w.State, w.Capacity, w.Instance = "ready", 2.5, "forged"
		b.must(one.Update(w))
		b.soon("the update", func() bool {
			ws, _, _ := watch.get()
			return len(ws) == 2 && ws[0].State == "ready" && ws[0].Capacity == 2.5 && ws[0].Instance == one.Record().Instance
		})
		w.ID = "w3"
		if one.Update(w) == nil {
			t.Error("Update changed the id")
		}
		if !one.Registered() || !two.Registered() {
			t.Error("not registered")
		}
		b.must(two.Close(b.ctx))
		b.must(two.Close(b.ctx))
		b.soon("one", seen(watch, "w1"))
		ws, err := p.Workers(b.ctx)
		b.must(err)
		if ids(ws) != "w1" {
			t.Errorf("Workers: %q", ids(ws))
		}
		b.must(one.Close(b.ctx))
		b.soon("none", seen(watch, ""))
	})
}

func TestCoordinators(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		p := b.process()
		c := registry.Coordinator{ID: "c1", GossipAddress: "h:1", GRPCAddress: "h:2", HTTPAddress: "h:3"}
		g, err := p.RegisterCoordinator(b.ctx, c)
		b.must(err)
		cs, err := b.process().Coordinators(b.ctx)
		b.must(err)
		c.Instance = g.Record().Instance
		if len(cs) != 1 || cs[0] != c || c.Instance == "" {
			t.Errorf("got %+v", cs)
		}
		watch := follow(p.WatchCoordinators(b.ctx))
		b.soon("one", func() bool { cs, _, _ := watch.get(); return len(cs) == 1 })
		b.must(g.Close(b.ctx))
		b.soon("none", func() bool { cs, _, _ := watch.get(); return len(cs) == 0 })
	})
}

// A process that dies without a word is gone when its lease ends, and may come
// back under its id, for which it waits that long.
func TestCrashAndRestart(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		watch := follow(b.process().WatchWorkers(b.ctx))
		p := b.process()
		first := b.register(p, "w1").Record()
		b.soon("registered", seen(watch, "w1"))
		b.must(p.Close())
		second := b.register(b.process(), "w1").Record()
		if first.Instance == second.Instance {
			t.Error("instances are alike")
		}
		b.soon("the new one", func() bool {
			ws, _, _ := watch.get()
			return len(ws) == 1 && ws[0].Instance == second.Instance
		})
	})
}

func TestDuplicateID(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		g := b.register(b.process(), "w1")
		w := worker("w1")
		w.PID = 43
		_, err := b.process().RegisterWorker(b.ctx, w)
		if !errors.Is(err, registry.ErrDuplicate) {
			t.Fatalf("error %v", err)
		}
		for _, want := range []string{"w1", "pid 42", "host-w1", "w1:7000", "another id"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q lacks %q", err, want)
			}
		}
		if !g.Registered() {
			t.Error("the holder was disturbed")
		}
	})
}

// Whatever takes the record away, it comes back by itself.
func TestRecordComesBack(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		watch := follow(b.process().WatchWorkers(b.ctx))
		g := b.register(b.process(), "w1")
		b.soon("registered", seen(watch, "w1"))
		for what, take := range map[string]func(){
			"leases dropped":  b.dropLeases,
			"key deleted":     func() { b.delete("/sullae/default/workers/w1") },
			"key overwritten": func() { b.put("/sullae/default/workers/w1", "{}") },
		} {
			_, before, _ := watch.get()
			take()
			b.soon(what+": seen", func() bool { _, n, _ := watch.get(); return n > before })
			b.soon(what+": back", seen(watch, "w1"))
		}
		b.soon("registered", g.Registered)
	})
}

// While etcd is away nothing ends and the last list stands; soon after its
// return the record is true.
func TestEtcdAway(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		watch := follow(b.process().WatchWorkers(b.ctx))
		g := b.register(b.process(), "w1")
		late := b.process()
		b.soon("registered", seen(watch, "w1"))

		b.setAway(true)
		w := g.Record()
		w.State = "busy"
		b.must(g.Update(w))
		registered := make(chan error, 1)
		go func() {
			_, err := late.RegisterWorker(b.ctx, worker("w2"))
			registered <- err
		}()
		_, before, _ := watch.get()
		time.Sleep(b.outage())
		if ws, n, closed := watch.get(); n != before || ids(ws) != "w1" || closed {
			t.Errorf("while away: %d lists, %q, closed %v", n-before, ids(ws), closed)
		}
		if g.Registered() {
			t.Error("registered while etcd is away")
		}
		ctx, cancel := context.WithTimeout(b.ctx, time.Second)
		if _, err := late.Workers(ctx); err == nil {
			t.Error("listed while etcd is away")
		}
		cancel()

		b.setAway(false)
		b.soon("both, updated", func() bool {
			ws, _, _ := watch.get()
			return ids(ws) == "w1 w2" && ws[0].State == "busy" && g.Registered()
		})
		b.must(<-registered)
		for _, want := range []string{"does not answer", "answers again"} {
			if !strings.Contains(b.log.String(), want) {
				t.Errorf("not logged: %q", want)
			}
		}
	})
}

// An etcd that comes back without its data is filled again, although the
// watches' revisions lie in its future.
func TestEtcdLosesItsData(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		for range 20 {
			b.put("/sullae/default/config/x", "x") // so that revisions do go back
		}
		watch := follow(b.process().WatchWorkers(b.ctx))
		g := b.register(b.process(), "w1")
		b.soon("registered", seen(watch, "w1"))
		b.wipe()
		b.soon("written again", func() bool {
			ws, err := b.process().Workers(b.ctx)
			return err == nil && ids(ws) == "w1"
		})
		b.must(g.Close(b.ctx))
		b.soon("the watch sees the new history", seen(watch, ""))
		// Not by reading again from time to time only: the watch itself goes on.
		for i, want := range []string{"a", "a b", "a b c"} {
			time.Sleep(500 * time.Millisecond) // the first may meet the watch's restart
			b.register(b.process(), string("abc"[i]))
			b.within(b.patience()/5, "the watch goes on", seen(watch, want))
		}
	})
}

// A watch whose next revision was compacted while it was cut off starts anew.
func TestCompactionWhileCutOff(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		p := b.process()
		watch := follow(p.WatchWorkers(b.ctx))
		b.register(p, "w1")
		b.soon("registered", seen(watch, "w1"))
		b.setAway(true)
		b.whileAway(func() {
			b.put("/sullae/default/workers/w2", `{"schema":1,"record":{"id":"w2","address":"w2:1"}}`)
			for range 10 {
				b.put("/sullae/default/config/x", "x")
			}
			b.compact()
		})
		b.setAway(false)
		b.soon("what came meanwhile", seen(watch, "w1 w2"))
		b.delete("/sullae/default/workers/w2")
		b.soon("what comes after", seen(watch, "w1"))
	})
}

func TestBadValues(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		p := b.process()
		watch := follow(p.WatchWorkers(b.ctx))
		b.register(p, "good")
		for key, value := range map[string]string{
			"empty":    "",
			"noise":    "\x00\xff not json",
			"list":     "[1,2]",
			"null":     `{"schema":1,"record":null}`,
			"noschema": `{"record":{"id":"noschema","address":"a:1"}}`,
			"type":     `{"schema":1,"record":{"id":7}}`,
			"noaddr":   `{"schema":1,"record":{"id":"noaddr"}}`,
			"wrongid":  `{"schema":1,"record":{"id":"other","address":"a:1"}}`,
			"negative": `{"schema":1,"record":{"id":"negative","address":"a:1","capacity":-1}}`,
			"newer":    `{"schema":2,"record":"who knows"}`,
			"a/b":      `{"schema":1,"record":{"id":"a/b","address":"a:1"}}`,
		} {
			b.put("/sullae/default/workers/"+key, value)
			b.soon(key+" is logged", func() bool {
				return strings.Contains(b.log.String(), "key=/sullae/default/workers/"+key)
			})
		}
		b.put("/sullae/default/workers/other", `{"schema":1,"record":{"id":"other","address":"a:1","unknown":[]}}`)
		b.soon("the good ones", seen(watch, "good other"))
		ws, err := p.Workers(b.ctx)
		b.must(err)
		if ids(ws) != "good other" {
			t.Errorf("Workers: %q", ids(ws))
		}
		if !strings.Contains(b.log.String(), "upgrade this process") {
			t.Error("the newer schema is not named")
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		p := b.process()
		g := b.register(p, "w1")
		watch := follow(p.WatchWorkers(b.ctx))
		b.soon("registered", seen(watch, "w1"))
		b.must(p.Close())
		b.must(p.Close())
		b.soon("the watch ends", func() bool { _, _, closed := watch.get(); return closed })
		if err := g.Close(b.ctx); err == nil {
			t.Error("took the record out through a closed registry")
		}
		if _, ok := <-p.WatchWorkers(b.ctx); ok {
			t.Error("a watch of a closed registry sends")
		}
		if _, err := p.Workers(b.ctx); err == nil {
			t.Error("listed by a closed registry")
		}
		if _, err := p.RegisterWorker(b.ctx, worker("w2")); !errors.Is(err, registry.ErrClosed) {
			t.Errorf("register: %v", err)
		}
		if _, err := p.Campaign(b.ctx, "c1", nil); !errors.Is(err, registry.ErrClosed) {
			t.Errorf("campaign: %v", err)
		}
	})
}

func TestBadRecordsAreRefused(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		p := b.process()
		for _, w := range []registry.Worker{
			{Address: "a:1"},
			{ID: "a/b", Address: "a:1"},
			{ID: "a b", Address: "a:1"},
			{ID: strings.Repeat("a", 200), Address: "a:1"},
			{ID: "a"},
			{ID: "a", Address: "a:1", Capacity: -1},
		} {
			if _, err := p.RegisterWorker(b.ctx, w); err == nil {
				t.Errorf("registered %+v", w)
			}
		}
	})
}
