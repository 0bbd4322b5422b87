package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// pool runs loops over several goroutines. The goroutine that calls run always
// takes part, and waits for none that has not begun: a helper that sleeps, or
// whose processor answers the network, costs speed and never time.
//
// A helper spins for a short while after a job, yielding its processor to other
// goroutines at each turn, and then sleeps. One goroutine at a time may call run.
type pool struct {
	threads int
	job     atomic.Pointer[job]
	helpers []helper
	stop    atomic.Bool
	done    sync.WaitGroup
}

type helper struct {
	asleep atomic.Bool
	wake   chan struct{} // capacity 1
}

// job is one loop over [0, n), in units of grain (the last may be shorter).
type job struct {
	n, grain int
	fn       func(worker, lo, hi int)
	parts    []part // of each thread that may find work
	// active counts the helpers inside; closed is added when no more may enter.
	active atomic.Int64
}

// part is the units [lo, hi) that are a thread's and not begun, as lo<<32 | hi. They
// begin as an equal share, so that a thread reads the memory in one stretch; one that has
// none left takes half of another's, from its end.
type part struct {
	left atomic.Uint64
	_    [56]byte // a cache line of its own
}

func (p *part) load() (lo, hi int, left uint64) {
	left = p.left.Load()
	return int(left >> 32), int(left & (1<<32 - 1)), left
}

func units(lo, hi int) uint64 { return uint64(lo)<<32 | uint64(hi) }

const (
	jobClosed = 1 << 32
	// spinTurns is how often an idle helper looks for a job before it sleeps:
	// some tens of microseconds, longer than the gaps inside a layer.
	spinTurns = 1000
)

func newPool(threads int) *pool {
	p := &pool{threads: threads, helpers: make([]helper, threads-1)}
	for i := range p.helpers {
		p.helpers[i].wake = make(chan struct{}, 1)
		p.done.Go(func() { p.help(i) })
	}
	return p
}

func (p *pool) close() {
	p.stop.Store(true)
	for i := range p.helpers {
		p.rouse(i)
	}
	p.done.Wait()
}

// run calls fn over [0, n) in disjoint runs of at least grain (the last may be
// shorter); worker is below threads and no two calls at a time have the same.
func (p *pool) run(n, grain int, fn func(worker, lo, hi int)) {
	if p.threads == 1 || n <= grain {
		if n > 0 {
			fn(0, 0, n)
		}
		return
	}
	j := &job{n: n, grain: max(grain, 1), fn: fn}
	all := (n + j.grain - 1) / j.grain
	j.parts = make([]part, min(p.threads, all))
	for i := range j.parts {
		j.parts[i].left.Store(units(all*i/len(j.parts), all*(i+1)/len(j.parts)))
	}
	p.job.Store(j)
	for i := range len(j.parts) - 1 {
		p.rouse(i)
	}
	j.work(0)
	for turn := 0; ; turn++ {
		a := j.active.Load()
		if a&jobClosed == 0 {
			a = j.active.Add(jobClosed)
		}
		if a == jobClosed {
			return
		}
		pause(turn)
	}
}

func (p *pool) rouse(i int) {
	h := &p.helpers[i]
	if h.asleep.CompareAndSwap(true, false) {
		h.wake <- struct{}{}
	}
}

// help is the life of helper i.
func (p *pool) help(i int) {
	h := &p.helpers[i]
	var last *job
	turn := 0
	for !p.stop.Load() {
		if j := p.job.Load(); j != last {
			last = j
			if j.enter() {
				j.work(i + 1)
				j.active.Add(-1)
				turn = 0
			}
			continue
		}
		if turn++; turn < spinTurns {
			pause(turn)
			continue
		}
		turn = 0
		h.asleep.Store(true)
		// A job or the end may have come before asleep was seen.
		if (p.job.Load() != last || p.stop.Load()) && h.asleep.CompareAndSwap(true, false) {
			continue
		}
		<-h.wake
	}
}

// enter counts a helper in, unless the job is closed.
func (j *job) enter() bool {
	for {
		a := j.active.Load()
		if a&jobClosed != 0 {
			return false
		}
		if j.active.CompareAndSwap(a, a+1) {
			return true
		}
	}
}

// work does what is left of the job: runs that shrink towards the end, so that the
// memory is read in long stretches and nobody waits long for the last one.
func (j *job) work(worker int) {
	if worker >= len(j.parts) {
		return
	}
	own := &j.parts[worker]
	for {
		lo, hi, left := own.load()
		if lo == hi {
			if !j.steal(own) {
				return
			}
			continue
		}
		next := lo + (hi-lo+1)/2
		if own.left.CompareAndSwap(left, units(next, hi)) {
			j.fn(worker, lo*j.grain, min(next*j.grain, j.n))
		}
	}
}

// steal moves half of what is left of the longest part to one that is empty.
func (j *job) steal(to *part) bool {
	for {
		var from *part
		var most, at, end int
		var left uint64
		for i := range j.parts {
			if lo, hi, l := j.parts[i].load(); hi-lo > most {
				from, most, at, end, left = &j.parts[i], hi-lo, lo, hi, l
			}
		}
		if from == nil {
			return false
		}
		mid := at + most/2
		if from.left.CompareAndSwap(left, units(at, mid)) {
			to.left.Store(units(mid, end))
			return true
		}
	}
}

// pause passes a short time in a spin loop. The network's goroutines come first.
func pause(turn int) {
	if turn%4 == 3 {
		runtime.Gosched()
		return
	}
	spinHint()
}
