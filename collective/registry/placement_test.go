package registry_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/plan"
)

var token = []byte("a secret of the epoch")

func generation(group string) registry.Generation {
	share := plan.Share{Heads: tree.Range{Lo: 0, Hi: 4}, MLP: tree.Range{Lo: 1, Hi: 3}}
	return registry.Generation{
		Group: group, Model: "demo", CheckpointID: "sha256:1",
		TokenHash: registry.HashToken(token),
		Ranks: []registry.GenerationRank{
			{WorkerID: "w1", Address: "w1:7000", Share: registry.Share(share)},
			{WorkerID: "w2", Address: "w2:7000"},
		},
	}
}

func TestGenerations(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		p := b.process()
		l := b.lead(b.process(), "c1")
		if _, err := p.ReadGeneration(b.ctx, "g"); !errors.Is(err, registry.ErrNoGeneration) {
			t.Errorf("read of none: %v", err)
		}
		if err := l.EndGeneration(b.ctx, "g", 1); !errors.Is(err, registry.ErrNoGeneration) {
			t.Errorf("end of none: %v", err)
		}
		watch := follow(p.WatchGeneration(b.ctx, "g"))
		epoch, err := l.WriteGeneration(b.ctx, generation("g"))
		b.must(err)
		other, err := l.WriteGeneration(b.ctx, generation("g2"))
		b.must(err)
		if epoch != 1 || other != 1 {
			t.Errorf("first epochs %d, %d", epoch, other)
		}
		g, err := p.ReadGeneration(b.ctx, "g")
		b.must(err)
		want := generation("g")
		want.Epoch, want.Leader, want.CreatedUnixMs = 1, "c1", g.CreatedUnixMs
		if g.CreatedUnixMs == 0 || fmt.Sprint(g) != fmt.Sprint(want) {
			t.Errorf("read %+v", g)
		}
		b.soon("the watch has it", func() bool { g, _, _ := watch.get(); return g.Epoch == 1 })

		// An end keeps the count, and is not repeated.
		if err := l.EndGeneration(b.ctx, "g", 7); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("end of another epoch: %v", err)
		}
		b.must(l.EndGeneration(b.ctx, "g", 1))
		b.soon("the watch sees the end", func() bool { g, _, _ := watch.get(); return g.Ended && g.Epoch == 1 })
		g, err = p.ReadGeneration(b.ctx, "g")
		b.must(err)
		if !g.Ended || len(g.Ranks) != 0 || !errors.Is(g.Admits(1, 0, "w1", token), registry.ErrFenced) {
			t.Errorf("ended: %+v", g)
		}
		if epoch, err = l.WriteGeneration(b.ctx, generation("g")); err != nil || epoch != 2 {
			t.Errorf("after an end: epoch %d, %v", epoch, err)
		}
		// A caller may know of a later epoch than etcd.
		jump := generation("g")
		jump.Epoch = 40
		if epoch, err = l.WriteGeneration(b.ctx, jump); err != nil || epoch != 41 {
			t.Errorf("after 40: epoch %d, %v", epoch, err)
		}
		jump.Epoch = math.MaxUint64
		if _, err = l.WriteGeneration(b.ctx, jump); err == nil {
			t.Error("the epoch went round")
		}
		b.soon("the watch has the last", func() bool { g, _, _ := watch.get(); return g.Epoch == 41 && !g.Ended })
	})
}

// A leader that does not know yet that it is none can write nothing.
func TestDeposedLeaderIsRefused(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		old := b.lead(b.process(), "c1")
		_, err := old.WriteGeneration(b.ctx, generation("g"))
		b.must(err)
		next := b.campaign(b.process(), "c2")
		b.delete(old.Key())
		if _, err := old.WriteGeneration(b.ctx, generation("g")); !errors.Is(err, registry.ErrNotLeader) {
			t.Errorf("write: %v", err)
		}
		if err := old.EndGeneration(b.ctx, "g", 1); !errors.Is(err, registry.ErrNotLeader) {
			t.Errorf("end: %v", err)
		}
		if !lost(old)() {
			t.Error("refused, but not lost")
		}
		l := <-next
		if epoch, err := l.WriteGeneration(b.ctx, generation("g")); err != nil || epoch != 2 {
			t.Errorf("the new leader: epoch %d, %v", epoch, err)
		}
		// A key of the same name, created later, is not the old leadership.
		b.put(old.Key(), `{"schema":1,"record":{"id":"c1"}}`)
		if _, err := old.WriteGeneration(b.ctx, generation("g")); !errors.Is(err, registry.ErrNotLeader) {
			t.Errorf("write with a key made again: %v", err)
		}
		b.delete(old.Key())
	})
}

// Many writers of one leadership: every epoch is given out once, none is skipped
// by a refused write, and watchers never see one go back.
func TestEpochsUnderConcurrentWriters(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		l := b.lead(b.process(), "c1")
		watch := b.process().WatchGeneration(b.ctx, "g")
		const writers, each = 6, 8
		var mu sync.Mutex
		var epochs []uint64
		conflicts := 0
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for done := 0; done < each; {
					epoch, err := l.WriteGeneration(b.ctx, generation("g"))
					mu.Lock()
					switch {
					case err == nil:
						epochs = append(epochs, epoch)
						done++
					case errors.Is(err, registry.ErrConflict):
						conflicts++
					default:
						t.Error(err)
						done = each
					}
					mu.Unlock()
				}
			})
		}
		written := make(chan struct{})
		go func() { wg.Wait(); close(written) }()
		for last, seen := false, uint64(0); !last || seen < writers*each; {
			select {
			case g := <-watch:
				if g.Epoch <= seen {
					t.Errorf("epoch %d after %d", g.Epoch, seen)
				}
				seen = g.Epoch
			case <-written:
				last, written = true, nil
			case <-time.After(b.patience()):
				t.Fatalf("the watch stops at epoch %d", seen)
			}
		}
		slices.Sort(epochs)
		for i, e := range epochs {
			if e != uint64(i+1) {
				t.Fatalf("epochs %v", epochs)
			}
		}
		t.Logf("%d conflicts", conflicts)
	})
}

func TestBadGenerations(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		p := b.process()
		l := b.lead(p, "c1")
		for what, spoil := range map[string]func(*registry.Generation){
			"no ranks":   func(g *registry.Generation) { g.Ranks = nil },
			"twice":      func(g *registry.Generation) { g.Ranks[1].WorkerID = "w1" },
			"no address": func(g *registry.Generation) { g.Ranks[0].Address = "" },
			"no hash":    func(g *registry.Generation) { g.TokenHash = "secret" },
			"group":      func(g *registry.Generation) { g.Group = "a/b" },
		} {
			g := generation("g")
			spoil(&g)
			if _, err := l.WriteGeneration(b.ctx, g); err == nil {
				t.Errorf("written: %s", what)
			}
		}
		key := "/sullae/default/generation/g"
		for value, want := range map[string]error{
			"nonsense": registry.ErrMalformed,
			`{"schema":1,"record":{"group":"h","epoch":9,"ended":true}}`: registry.ErrMalformed,
			`{"schema":1,"record":{"group":"g"}}`:                        registry.ErrMalformed,
			`{"schema":9,"record":{}}`:                                   registry.ErrNewerSchema,
		} {
			b.put(key, value)
			if _, err := p.ReadGeneration(b.ctx, "g"); !errors.Is(err, want) || !strings.Contains(err.Error(), key) {
				t.Errorf("read of %s: %v", value, err)
			}
			if _, err := l.WriteGeneration(b.ctx, generation("g")); !errors.Is(err, want) || !strings.Contains(err.Error(), key) {
				t.Errorf("write over %s: %v", value, err)
			}
		}
		watch := follow(p.WatchGeneration(b.ctx, "g"))
		b.soon("the watch logs it", func() bool { return strings.Contains(b.log.String(), "key="+key) })
		b.delete(key)
		_, err := l.WriteGeneration(b.ctx, generation("g"))
		b.must(err)
		b.soon("the watch goes on", func() bool { g, n, _ := watch.get(); return n == 1 && g.Epoch == 1 })
	})
}

func TestAdmits(t *testing.T) {
	g := generation("g")
	g.Epoch = 5
	if err := g.Admits(5, 1, "w2", token); err != nil {
		t.Error(err)
	}
	if g.RankOf("w2") != 1 || g.RankOf("w3") != -1 {
		t.Error("RankOf")
	}
	for what, err := range map[string]error{
		"epoch is 5":   g.Admits(4, 0, "w1", token),
		"epoch is":     g.Admits(6, 0, "w1", token),
		"no rank 2":    g.Admits(5, 2, "w1", token),
		"no rank -1":   g.Admits(5, -1, "w1", token),
		"is worker w1": g.Admits(5, 0, "w2", token),
		"wrong token":  g.Admits(5, 0, "w1", nil),
	} {
		if !errors.Is(err, registry.ErrFenced) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
