//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"errors"
	"slices"
	"unsafe"
)

const (
	// maxGraphs are kept; the one that was not used for longest gives way.
	maxGraphs = 512
	// leastCalls is from how many launches on a graph is made of them.
	leastCalls = 4
	// maxSeen bounds what is remembered of launches that came once.
	maxSeen = 4096
)

// graphs are CUDA graphs of launches that came more than once. A graph is launched
// only for what is, word for word, what it was made of: kernels, grids and
// parameters. What differs from step to step (positions, block tables, ids) lies at
// addresses that do not (args). So a graph is never wrong; once memory is freed that
// one may refer to, all are dropped, since they would not come again.
type graphs struct {
	ready map[uint64]*graph
	seen  map[uint64]bool // hashes of what came once
	off   error           // why none are made any more: the driver refused
	clock int64

	captured, launched, dropped int // for tests and figures
}

// errNoGraphs is that none are wanted, to measure what launches cost without.
var errNoGraphs = errors.New("graphs are off")

type graph struct {
	words []uint64
	exec  uintptr
	used  int64
}

// launch launches the graph of what is queued, and makes it where that came before.
// It reports false where there is none.
func (g *graphs) launch(b *Backend, q *queue) bool {
	if g.off != nil || q.calls < leastCalls {
		return false
	}
	made := g.ready[q.hash]
	switch {
	case made != nil && slices.Equal(made.words, q.words):
	case made != nil: // two of one hash: the first stays
		return false
	case !g.seen[q.hash]:
		if len(g.seen) >= maxSeen {
			clear(g.seen)
		}
		if g.seen == nil {
			g.seen = map[uint64]bool{}
		}
		g.seen[q.hash] = true
		return false
	default:
		if made = g.capture(b, q); made == nil {
			return false
		}
	}
	g.clock++
	made.used = g.clock
	g.launched++
	d := b.device
	b.note(d.call("cuGraphLaunch", d.cuGraphLaunch, made.exec, d.stream))
	return true
}

// capture makes a graph; nil if the driver refuses, and then no more are made. One that
// refuses launches that overlap has them follow one another in graphs.
func (g *graphs) capture(b *Backend, q *queue) *graph {
	if len(g.ready) >= maxGraphs {
		g.dropOldest(b)
	}
	exec, err := record(b, q, b.overlap.graphs)
	if err != nil && b.overlap.graphs {
		plain, again := record(b, q, false)
		if again == nil {
			b.overlap.graphs = false
			b.log.Warn("the driver refuses launches that overlap in a graph; they follow one another there", "err", err)
		}
		exec, err = plain, again
	}
	if err != nil {
		g.off = err // a lost device shows in the launches that follow
		return nil
	}
	g.captured++
	delete(g.seen, q.hash)
	if g.ready == nil {
		g.ready = map[uint64]*graph{}
	}
	made := &graph{words: slices.Clone(q.words), exec: exec}
	g.ready[q.hash] = made
	return made
}

// record makes an executable graph of what is queued.
func record(b *Backend, q *queue, overlap bool) (exec uintptr, err error) {
	d := b.device
	var whole uintptr
	err = d.call("cuStreamBeginCapture", d.cuStreamBeginCapture, d.stream, 1 /* of this thread */)
	if err == nil {
		err = b.launchAll(q, overlap)
		if e := d.call("cuStreamEndCapture", d.cuStreamEndCapture, d.stream, uintptr(unsafe.Pointer(&whole))); err == nil {
			err = e
		}
	}
	if err == nil {
		err = d.call("cuGraphInstantiateWithFlags", d.cuGraphInstantiateWithFlags, uintptr(unsafe.Pointer(&exec)), whole, 0)
	}
	if whole != 0 {
		_ = d.call("cuGraphDestroy", d.cuGraphDestroy, whole)
	}
	return exec, err
}

// dropOldest drops the graph that was not used for longest.
func (g *graphs) dropOldest(b *Backend) {
	oldest := uint64(0)
	for h, made := range g.ready {
		if o := g.ready[oldest]; o == nil || made.used < o.used {
			oldest = h
		}
	}
	g.destroy(b, oldest)
}

func (g *graphs) destroy(b *Backend, hash uint64) {
	d := b.device
	_ = d.call("cuGraphExecDestroy", d.cuGraphExecDestroy, g.ready[hash].exec) // the driver waits for what runs
	delete(g.ready, hash)
	g.dropped++
}

// drop drops all graphs.
func (g *graphs) drop(b *Backend) {
	if len(g.ready) > 0 {
		b.wait()
	}
	for h := range g.ready {
		g.destroy(b, h)
	}
	clear(g.seen)
}
