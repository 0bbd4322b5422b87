package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sullae/sullae/collective/registry"
)

// campaign starts a campaign and returns where its leadership will come.
func (b *bench) campaign(r *registry.Registry, id string, lapsed ...func(context.Context)) <-chan *registry.Leadership {
	out := make(chan *registry.Leadership, 1)
	go func() {
		defer close(out)
		l, err := r.Campaign(b.ctx, id, func(ctx context.Context) {
			for _, f := range lapsed {
				f(ctx)
			}
		})
		if err != nil {
			if !errors.Is(err, registry.ErrClosed) {
				b.t.Errorf("campaign of %s: %v", id, err)
			}
			return
		}
		out <- l
	}()
	return out
}

func (b *bench) lead(r *registry.Registry, id string) *registry.Leadership {
	b.t.Helper()
	l, err := r.Campaign(b.ctx, id, nil)
	b.must(err)
	return l
}

func lost(l *registry.Leadership) func() bool {
	return func() bool {
		select {
		case <-l.Lost():
			return true
		default:
			return false
		}
	}
}

func TestHandOver(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		p1, p2 := b.process(), b.process()
		if _, err := p1.Leader(b.ctx); !errors.Is(err, registry.ErrNoLeader) {
			t.Errorf("leader of none: %v", err)
		}
		watch := follow(p2.WatchLeader(b.ctx))
		is := func(want string) func() bool {
			return func() bool { id, n, _ := watch.get(); return n > 0 && id == want }
		}
		b.soon("nobody leads", is(""))
		l1 := b.lead(p1, "c1")
		b.soon("c1 leads", is("c1"))
		next := b.campaign(p2, "c2")
		time.Sleep(300 * time.Millisecond)
		select {
		case <-next:
			t.Fatal("two leaders")
		default:
		}
		if lost(l1)() || !time.Now().Before(l1.ValidUntil()) {
			t.Error("c1 is not sure to lead")
		}
		began := time.Now()
		b.must(l1.Resign(b.ctx))
		b.must(l1.Resign(b.ctx))
		l2 := <-next
		if took := time.Since(began); took >= b.ttl()*3/4 {
			t.Errorf("hand-over took %v", took)
		}
		if !lost(l1)() {
			t.Error("c1 still leads")
		}
		if l2.Revision() <= l1.Revision() || l2.ID() != "c2" {
			t.Errorf("c2 is %s at %d, c1 at %d", l2.ID(), l2.Revision(), l1.Revision())
		}
		id, err := p1.Leader(b.ctx)
		b.must(err)
		if id != "c2" {
			t.Errorf("leader %q", id)
		}
		b.soon("c2 leads", is("c2"))

		// A leader that dies without a word is followed when its lease ends.
		next = b.campaign(p1, "c1")
		b.must(p2.Close())
		b.soon("c2 has lost", lost(l2))
		b.within(b.ttl()+b.patience(), "c1 leads again", func() bool { return len(next) == 1 })
	})
}

// A leader whose key is taken away hears of it, and a standby follows.
func TestDeposed(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		l := b.lead(b.process(), "c1")
		next := b.campaign(b.process(), "c2")
		time.Sleep(300 * time.Millisecond)
		b.delete(l.Key())
		b.soon("c2 leads", func() bool { return len(next) == 1 })
		b.soon("c1 has lost", lost(l))
		b.must(l.Resign(b.ctx))
	})
}

// A standby whose own key is gone when its turn comes queues anew, and does not
// take itself for elected.
func TestStandbyLapses(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		l1 := b.lead(b.process(), "c1")
		lapsed := 0
		next := b.campaign(b.process(), "c2", func(context.Context) { lapsed++ })
		var standby string
		b.soon("c2 stands", func() bool {
			keys := b.keys("/sullae/default/leader/")
			if len(keys) != 2 {
				return false
			}
			standby = keys[0]
			if standby == l1.Key() {
				standby = keys[1]
			}
			return true
		})
		b.delete(standby)
		b.must(l1.Resign(b.ctx))
		l2 := <-next
		if l2.Key() == standby || lapsed != 1 {
			t.Errorf("elected by a key that was gone, or not asked before queueing anew (%d times)", lapsed)
		}
		if _, err := l1.WriteGeneration(b.ctx, generation("g")); !errors.Is(err, registry.ErrNotLeader) {
			t.Errorf("c1 writes: %v", err)
		}
		_, err := l2.WriteGeneration(b.ctx, generation("g"))
		b.must(err)
	})
}

// An outage of etcd ends no leadership: the leader only knows that it isn't sure.
func TestLeaderOutlastsOutage(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		l := b.lead(b.process(), "c1")
		next := b.campaign(b.process(), "c2")
		time.Sleep(300 * time.Millisecond)
		b.setAway(true)
		time.Sleep(b.outage())
		if lost(l)() {
			t.Error("lost while etcd is away")
		}
		if time.Now().Before(l.ValidUntil()) {
			t.Error("sure to lead while etcd is away")
		}
		b.setAway(false)
		b.soon("sure again", func() bool { return time.Now().Before(l.ValidUntil()) })
		_, err := l.WriteGeneration(b.ctx, generation("g"))
		b.must(err)
		if len(next) != 0 {
			t.Error("two leaders")
		}
		b.must(l.Resign(b.ctx))
		b.soon("c2 leads", func() bool { return len(next) == 1 })
	})
}

func TestCampaignEndsWithItsContext(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		l := b.lead(b.process(), "c1")
		standby := b.process()
		why := errors.New("enough")
		for _, away := range []bool{false, true} {
			if away {
				b.setAway(true)
			}
			ctx, cancel := context.WithCancelCause(b.ctx)
			time.AfterFunc(200*time.Millisecond, func() { cancel(why) })
			began := time.Now()
			_, err := standby.Campaign(ctx, "c2", nil)
			if !errors.Is(err, why) {
				t.Errorf("away %v: %v", away, err)
			}
			if took := time.Since(began); took > b.ttl() {
				t.Errorf("away %v: took %v", away, took)
			}
			if !away {
				// It left the queue: nobody follows c1.
				b.must(l.Resign(b.ctx))
				if id, err := standby.Leader(b.ctx); !errors.Is(err, registry.ErrNoLeader) {
					t.Errorf("leader %q, %v", id, err)
				}
			}
		}
		b.setAway(false)
	})
}

// TestDepose: who stands by ends the leadership of one that is dead, at once; it can
// write nothing more, and nobody else's leadership ends.
func TestDepose(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		p1, p2 := b.process(), b.process()
		l1 := b.lead(p1, "c1")
		next := b.campaign(p2, "c2")
		b.must(p2.Depose(b.ctx, "c3")) // does not lead
		time.Sleep(300 * time.Millisecond)
		if lost(l1)() {
			t.Fatal("c1 was deposed for c3")
		}
		began := time.Now()
		b.must(p2.Depose(b.ctx, "c1"))
		l2 := <-next
		if took := time.Since(began); took >= b.ttl()*3/4 {
			t.Errorf("taking over took %v", took)
		}
		if _, err := l1.WriteGeneration(b.ctx, registry.Generation{Group: "0", Model: "m", CheckpointID: "c", TokenHash: registry.HashToken([]byte("t")),
			Ranks: []registry.GenerationRank{{WorkerID: "w", Address: "a:1"}}}); !errors.Is(err, registry.ErrNotLeader) {
			t.Errorf("a deposed leader's write: %v", err)
		}
		b.must(p1.Depose(b.ctx, "c1")) // late: c2 leads
		time.Sleep(300 * time.Millisecond)
		if lost(l2)() {
			t.Error("c2 was deposed for c1")
		}
	})
}
