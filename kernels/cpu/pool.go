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

// job is one loop over [0, n), claimed in runs from the front.
type job struct {
	n, grain, threads int
	fn                func(worker, lo, hi int)
	next              atomic.Int64
	// active counts the helpers inside; closed is added when no more may enter.
	active atomic.Int64
}

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
	j := &job{n: n, grain: max(grain, 1), threads: p.threads, fn: fn}
	p.job.Store(j)
	for i := range min(len(p.helpers), (n-1)/j.grain) {
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

// work claims runs that shrink towards the end, so that the memory is read in
// long stretches and nobody waits long for the last one.
func (j *job) work(worker int) {
	for {
		lo := int(j.next.Load())
		if lo >= j.n {
			return
		}
		take := min(max((j.n-lo)/(2*j.threads), j.grain), j.n-lo)
		if j.next.CompareAndSwap(int64(lo), int64(lo+take)) {
			j.fn(worker, lo, lo+take)
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
