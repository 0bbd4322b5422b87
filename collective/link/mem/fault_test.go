package memlink_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/allreduce"
	"github.com/sullae/sullae/collective/colltest"
	memlink "github.com/sullae/sullae/collective/link/mem"
)

// faults is a Hook that harms messages, at random but from a seed.
type faults struct {
	mu    sync.Mutex
	rng   *rand.Rand
	rate  float64             // chance that a message comes to harm
	sent  map[[2]int][][]byte // by from and to, for repeats
	stale map[[2]int][][]byte // what an earlier epoch sent
	kinds []string            // what has happened, for the report
}

func (f *faults) hook(from, to int, msg []byte) []memlink.Delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := [2]int{from, to}
	f.sent[key] = append(f.sent[key], msg)
	whole := memlink.Delivery{Message: msg}
	if f.rng.Float64() >= f.rate {
		return []memlink.Delivery{whole}
	}
	late := time.Duration(f.rng.IntN(3000)) * time.Millisecond // some beyond the deadline
	old := func(from [][]byte) memlink.Delivery {
		return memlink.Delivery{Message: from[f.rng.IntN(len(from))], After: time.Duration(f.rng.IntN(2)) * late}
	}
	kind := []string{"drop", "delay", "repeat", "flip", "cut", "stale", "swap"}[f.rng.IntN(7)]
	f.kinds = append(f.kinds, fmt.Sprintf("%s %d->%d", kind, from, to))
	switch kind {
	case "drop":
		return nil
	case "delay": // what comes later overtakes it
		whole.After = late
	case "repeat":
		return []memlink.Delivery{whole, old(f.sent[key])}
	case "flip":
		harmed := append([]byte(nil), msg...)
		harmed[f.rng.IntN(len(msg))] ^= 1 << f.rng.IntN(8)
		whole.Message = harmed
	case "cut":
		whole.Message = msg[:f.rng.IntN(len(msg))]
	case "stale": // instead of, or before, the right one
		if past := f.stale[key]; len(past) > 0 {
			i := min(len(f.sent[key])-1, len(past)-1) // the same place in its order
			return []memlink.Delivery{{Message: past[i]}, whole}[:1+f.rng.IntN(2)]
		}
	case "swap": // a message of another pair
		for k, other := range f.sent {
			if k != key {
				whole.Message = other[len(other)-1]
				break
			}
		}
	}
	return []memlink.Delivery{whole}
}

// runs is how many seeds TestFaults tries; the race detector takes its time.
var runs = 3000

// TestFaults runs short epochs over links that lose, delay, repeat, reorder, damage
// and mix up messages. On every rank each collective ends with the right answer or
// with an error, and a rank that has failed stays failed: never a wrong sum, and,
// as synctest would see, never a hang.
func TestFaults(t *testing.T) {
	if testing.Short() {
		runs = 300
	}
	var failed int
	for seed := range runs {
		synctest.Test(t, func(t *testing.T) {
			if faultyRun(t, uint64(seed)) {
				failed++
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d of %d epochs ended by an error", failed, runs)
	if failed < runs/4 || failed > runs*19/20 {
		t.Error("the faults are too many or too few to tell anything")
	}
}

func faultyRun(t *testing.T, seed uint64) (failed bool) {
	rng := rand.New(rand.NewPCG(seed, 5))
	n := 2 + rng.IntN(3)
	f := &faults{rng: rand.New(rand.NewPCG(seed, 6)), sent: map[[2]int][][]byte{}}
	tuning := collective.Tuning{Timeout: 2 * time.Second, ChunkBytes: 128, Table: allreduce.OneHop}
	if rng.IntN(2) == 0 {
		tuning.Table = allreduce.TwoHops
	}
	const steps = 6
	// Both epochs do the same with other numbers.
	sums := map[uint64][]*colltest.Sum{}
	for range steps {
		leaves := 1 + rng.IntN(6)
		size, shares := rng.IntN(100), colltest.Shares(rng, leaves, n)
		for e := range uint64(2) {
			sums[e+1] = append(sums[e+1], colltest.NewSum(rng, leaves, size, shares))
		}
	}
	epoch := func(e uint64) []error {
		groups, _ := memlink.New(n, memlink.Options{Epoch: e, Tuning: tuning, Hook: f.hook, Pieces: 50})
		start := time.Now()
		errs := colltest.Each(groups, func(r int, g *collective.Group) error {
			defer g.Close()
			for step, sum := range sums[e] {
				// Equal tags: only the order of frames tells steps apart.
				tag := collective.Tag{Step: uint64(step / 2), Op: collective.OpMLP}
				dst := make([]float32, len(sum.Want))
				err := g.AllReduce(t.Context(), tag, sum.Summands(r), dst)
				if err == nil {
					if err := sum.Check(dst); err != nil {
						t.Errorf("rank %d step %d: wrong sum: %v after %v", r, step, err, f.kinds)
					}
					var all [][]byte
					if all, err = g.AllGather(t.Context(), tag, []byte(fmt.Sprint(e, r, step))); err == nil {
						for p, b := range all {
							if string(b) != fmt.Sprint(e, p, step) {
								t.Errorf("rank %d step %d: wrong gather %q of rank %d after %v", r, step, b, p, f.kinds)
							}
						}
					}
				}
				if err != nil {
					for _, known := range []error{collective.ErrPeerLost, collective.ErrTimeout, collective.ErrMismatch} {
						if errors.Is(err, known) {
							if _, again := g.AllGather(t.Context(), tag, nil); again == nil {
								t.Errorf("rank %d works again after %v", r, err)
							}
							return err
						}
					}
					t.Errorf("rank %d: an error without a name: %v", r, err)
					return err
				}
			}
			return nil
		})
		if d := time.Since(start); d > time.Minute {
			t.Errorf("the epoch took %v", d)
		}
		return errs
	}
	for _, err := range epoch(1) { // no faults
		if err != nil {
			t.Error(err)
		}
	}
	f.stale, f.sent, f.rate = f.sent, map[[2]int][][]byte{}, 0.4/float64(n*n)/float64(1+rng.IntN(6))
	for _, err := range epoch(2) {
		failed = failed || err != nil
	}
	return failed
}

// TestTimes checks deadlines to the tick, in fake time.
func TestTimes(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name  string
		delay time.Duration
		ok    bool
	}{
		{"slow", 29 * time.Second, true},
		{"too slow", 31 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				groups, _ := memlink.New(3, memlink.Options{Hook: func(from, _ int, msg []byte) []memlink.Delivery {
					d := memlink.Delivery{Message: msg}
					if from == 2 {
						d.After = c.delay
					}
					return []memlink.Delivery{d}
				}})
				start := time.Now()
				errs := colltest.Each(groups, func(r int, g *collective.Group) error {
					_, err := g.AllGather(ctx, collective.Tag{Step: 3}, nil)
					return err
				})
				for r, err := range errs[:2] {
					if c.ok != (err == nil) {
						t.Errorf("rank %d: %v", r, err)
					}
				}
				want := min(c.delay, collective.DefaultTimeout)
				if d := time.Since(start); d != want {
					t.Errorf("took %v, want %v", d, want)
				}
				if !c.ok && !strings.Contains(errors.Join(errs...).Error(), "step 3 layer 0 op(0): peer silent: nothing from rank 2 for 30s") {
					t.Error(errs)
				}
				for _, g := range groups {
					g.Close()
				}
			})
		})
	}
}

// TestProgress: a wait is counted from the last frame that came, so that a long
// message over a slow link is no silence.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sent [2]int
		groups, _ := memlink.New(2, memlink.Options{
			Tuning: collective.Tuning{Timeout: time.Second, ChunkBytes: 64},
			Hook: func(from, _ int, msg []byte) []memlink.Delivery {
				mu.Lock()
				defer mu.Unlock()
				sent[from]++
				return []memlink.Delivery{{Message: msg, After: time.Duration(sent[from]) * 600 * time.Millisecond}}
			}})
		start := time.Now()
		for _, err := range colltest.Each(groups, func(r int, g *collective.Group) error {
			defer g.Close()
			_, err := g.AllGather(context.Background(), collective.Tag{}, make([]byte, 640))
			return err
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(start); d < 5*time.Second {
			t.Errorf("only %v: the test tests nothing", d)
		}
	})
}

// TestOtherEpoch: links between ranks of two epochs carry nothing but an error.
func TestOtherEpoch(t *testing.T) {
	for what, c := range map[string]collective.Config{
		"epoch": {Group: "g", Epoch: 8, Rank: 1, WorldSize: 2},
		"group": {Group: "h", Epoch: 7, Rank: 1, WorldSize: 2},
	} {
		net := memlink.NewNet(2, memlink.Options{})
		a, err := collective.NewGroup(collective.Config{Group: "g", Epoch: 7, Rank: 0, WorldSize: 2}, net.Links(0))
		if err != nil {
			t.Fatal(err)
		}
		b, err := collective.NewGroup(c, net.Links(1))
		if err != nil {
			t.Fatal(err)
		}
		errs := colltest.Each([]*collective.Group{a, b}, func(r int, g *collective.Group) error {
			defer g.Close()
			_, err := g.AllGather(context.Background(), collective.Tag{Step: 1}, []byte("x"))
			return err
		})
		all := errors.Join(errs...)
		if errs[0] == nil || errs[1] == nil || !errors.Is(all, collective.ErrMismatch) ||
			!strings.Contains(all.Error(), "disagree on the "+what) {
			t.Errorf("%s: %v", what, errs)
		}
	}
}
