package cpu

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// TestPoolCovers: every index is visited once, by workers that never share a
// number, also when the helpers sleep in between.
func TestPoolCovers(t *testing.T) {
	for _, procs := range []int{1, 4} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		for threads := 1; threads <= 4; threads++ {
			p := newPool(threads)
			busy := make([]atomic.Bool, threads)
			for round := range 300 {
				n, grain := round%50, 1+round%4
				seen := make([]int32, n)
				p.run(n, grain, func(worker, lo, hi int) {
					if busy[worker].Swap(true) {
						t.Errorf("worker %d runs twice at a time", worker)
					}
					for i := lo; i < hi; i++ {
						seen[i]++
					}
					if hi-lo < grain && hi != n {
						t.Errorf("run [%d, %d) is below the grain %d", lo, hi, grain)
					}
					busy[worker].Store(false)
				})
				for i, c := range seen {
					if c != 1 {
						t.Fatalf("threads %d, n %d: index %d was visited %d times", threads, n, i, c)
					}
				}
				if round%60 == 59 {
					time.Sleep(2 * time.Millisecond) // long enough for helpers to sleep
				}
			}
			p.close()
		}
	}
}

// TestPoolHelps: a helper that sleeps takes part once there is enough to do.
func TestPoolHelps(t *testing.T) {
	p := newPool(2)
	defer p.close()
	time.Sleep(2 * time.Millisecond)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		var helped atomic.Bool
		p.run(1000, 1, func(worker, lo, hi int) {
			if worker == 1 {
				helped.Store(true)
			}
			for i := lo; i < hi; i++ {
				runtime.Gosched()
			}
		})
		if helped.Load() {
			return
		}
	}
	t.Fatal("the helper never took part")
}

func TestPoolCloses(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		p := newPool(3)
		p.run(10, 1, func(int, int, int) {})
		p.close()
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Fatalf("%d goroutines before, %d after", before, after)
	}
}

func TestNewErrors(t *testing.T) {
	if b, err := New(Config{Variant: "abacus"}); err == nil {
		b.Close()
		t.Error("an unknown variant was taken")
	}
	if b, err := New(Config{Threads: -1}); err == nil {
		b.Close()
		t.Error("a negative number of threads was taken")
	}
	t.Setenv("SULLAE_CPU_VARIANT", "portable")
	b := newTest(t, "", 0)
	if info := b.Info(); info.Variant != "portable" || info.Class != Class || info.Threads != runtime.GOMAXPROCS(0) {
		t.Errorf("%+v", info)
	}
}

// BenchmarkPoolWake reports how long a helper takes to begin a loop: one that spins,
// and one that sleeps.
func BenchmarkPoolWake(b *testing.B) {
	for _, c := range []struct {
		name  string
		pause time.Duration
	}{{"spins", 0}, {"sleeps", 2 * time.Millisecond}} {
		b.Run(c.name, func(b *testing.B) {
			p := newPool(2)
			defer p.close()
			var took []time.Duration
			for b.Loop() {
				time.Sleep(c.pause)
				var begun atomic.Int64
				start := time.Now()
				p.run(2, 1, func(worker, _, _ int) {
					if worker == 1 {
						begun.Store(int64(time.Since(start)))
					}
					for begun.Load() == 0 && time.Since(start) < time.Millisecond { // the helper may be kept from its processor
						spinHint()
					}
				})
				if d := begun.Load(); d > 0 {
					took = append(took, time.Duration(d))
				}
			}
			if len(took) > 0 {
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2])/1e3, "median-us")
				b.ReportMetric(float64(took[len(took)*9/10])/1e3, "90th-us")
			}
		})
	}
}
