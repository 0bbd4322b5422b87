package collective

import (
	"github.com/sullae/sullae/collective/allreduce"
	"github.com/sullae/sullae/collective/link"
)

// reduction is one all-reduce in progress on one rank. Its cursors count frames:
// what is sent, what came from each peer in each phase, what is summed.
type reduction struct {
	g     *Group
	tag   Tag
	plan  allreduce.Plan
	parts [][]float32
	dst   []float32

	sent    int            // chunks of every slice whose parts are sent
	summed  int            // chunks of our slice
	staged  [][]link.Frame // by rank: parts of our slice, not yet summed
	gotPart []int          // by rank: frames of parts received
	gotSum  []int          // by rank: frames of sums received
	need    []bool         // by rank: frames are still missing

	operands []allreduce.Operand
}

func newReduction(g *Group, tag Tag, plan allreduce.Plan, parts [][]float32, dst []float32) *reduction {
	n := g.cfg.WorldSize
	counts := make([]int, 2*n)
	return &reduction{
		g: g, tag: tag, plan: plan, parts: parts, dst: dst,
		staged: make([][]link.Frame, n), gotPart: counts[:n], gotSum: counts[n:],
		need: make([]bool, n), operands: make([]allreduce.Operand, plan.Operands),
	}
}

// release gives back the frames that a failed reduction leaves behind.
func (r *reduction) release() {
	for _, frames := range r.staged {
		for i := range frames {
			frames[i].Release()
		}
	}
}

// run alternates between sending a chunk and using what has come, so that the
// transport works while we add; it waits only when neither is possible.
func (r *reduction) run() error {
	for {
		sent, err := r.sendParts()
		if err != nil {
			return err
		}
		took, err := r.takeAll()
		if err != nil {
			return err
		}
		summed, err := r.sumReady()
		if err != nil {
			return err
		}
		if sent || took || summed {
			continue
		}
		if r.missing() == 0 {
			return nil
		}
		if err := r.g.await(r.need); err != nil {
			return err
		}
	}
}

// chunks is the number of frames of rank's slice.
func (r *reduction) chunks(rank int) int { return r.plan.Chunks(r.plan.Slice(rank)) }

func (r *reduction) chunk(rank, i int) allreduce.Span { return r.plan.Chunk(r.plan.Slice(rank), i) }

// dueParts is the i-th frame of parts for owner's slice from source.
func (r *reduction) dueParts(source, owner, i int) due {
	c := r.chunk(owner, i)
	return due{phase: link.PhaseParts, layout: r.plan.Layout, total: uint64(r.plan.Len), offset: uint64(c.Lo),
		count: uint32(c.Len()), parts: len(r.plan.Nodes[source]), width: 4}
}

// dueSum is the i-th frame of owner's summed slice.
func (r *reduction) dueSum(owner, i int) due {
	c := r.chunk(owner, i)
	return due{phase: link.PhaseSum, layout: r.plan.Layout, total: uint64(r.plan.Len), offset: uint64(c.Lo),
		count: uint32(c.Len()), parts: 1, width: 4}
}

// missing counts the peers whose frames are still due, and marks them in need.
func (r *reduction) missing() (n int) {
	me := r.g.cfg.Rank
	for p := range r.need {
		r.need[p] = p != me && (r.gotPart[p] < r.chunks(me) || r.plan.Hops == 2 && r.gotSum[p] < r.chunks(p))
		if r.need[p] {
			n++
		}
	}
	return n
}

// sendParts sends the next chunk of our parts: the same to all with one hop, each
// peer's slice to it with two.
func (r *reduction) sendParts() (sent bool, err error) {
	g, i := r.g, r.sent
	r.sent++
	if r.plan.Hops == 1 {
		if i >= r.chunks(g.cfg.Rank) || g.cfg.WorldSize == 1 {
			return false, nil
		}
		d := r.dueParts(g.cfg.Rank, g.cfg.Rank, i)
		b := r.pack(r.parts, r.chunk(g.cfg.Rank, i))
		defer b.Release()
		return true, g.others(func(p int) error { return g.send(p, r.tag, &d, b) })
	}
	err = g.others(func(p int) error {
		if i >= r.chunks(p) {
			return nil
		}
		sent = true
		d := r.dueParts(g.cfg.Rank, p, i)
		b := r.pack(r.parts, r.chunk(p, i))
		defer b.Release()
		return g.send(p, r.tag, &d, b)
	})
	return sent, err
}

// pack copies a range of vectors into a buffer, one after another. The copy is
// what lets the caller reuse its memory while the transport still writes.
func (r *reduction) pack(vectors [][]float32, c allreduce.Span) *link.Buffer {
	b := link.NewBuffer(4 * c.Len() * len(vectors))
	for i, v := range vectors {
		allreduce.PutFloats(b.Bytes()[4*c.Len()*i:], v[c.Lo:c.Hi])
	}
	return b
}

// takeAll takes from every inbox the frames that belong to this collective.
func (r *reduction) takeAll() (took bool, err error) {
	me := r.g.cfg.Rank
	for p := range r.need {
		for r.gotPart[p] < r.chunks(me) || r.plan.Hops == 2 && r.gotSum[p] < r.chunks(p) {
			if p == me {
				break
			}
			f, ok := r.g.pop(p)
			if !ok {
				break
			}
			took = true
			if err := r.take(p, f); err != nil {
				return took, err
			}
		}
	}
	return took, nil
}

// take checks a frame of rank p and puts it where it belongs. A peer sends its
// parts and its sums in order, but mixes the two as it gets on.
func (r *reduction) take(p int, f link.Frame) error {
	me := r.g.cfg.Rank
	if f.Phase == link.PhaseSum && r.plan.Hops == 2 && r.gotSum[p] < r.chunks(p) || r.gotPart[p] == r.chunks(me) {
		d := r.dueSum(p, r.gotSum[p])
		if err := r.g.check(p, &f, r.tag, &d); err != nil {
			f.Release()
			return r.g.fail(err)
		}
		c := r.chunk(p, r.gotSum[p])
		allreduce.CopyPieces(r.dst[c.Lo:c.Hi], f.Pieces)
		f.Release()
		r.gotSum[p]++
		return nil
	}
	d := r.dueParts(p, me, r.gotPart[p])
	if err := r.g.check(p, &f, r.tag, &d); err != nil {
		f.Release()
		return r.g.fail(err)
	}
	r.staged[p] = append(r.staged[p], f)
	r.gotPart[p]++
	return nil
}

// sumReady sums the chunks of our slice for which every peer's parts are there,
// and with two hops sends the sums to everybody.
func (r *reduction) sumReady() (summed bool, err error) {
	g, me := r.g, r.g.cfg.Rank
	for ; r.summed < r.chunks(me); r.summed++ {
		for p := range r.need {
			if p != me && r.gotPart[p] <= r.summed {
				return summed, nil
			}
		}
		summed = true
		c := r.chunk(me, r.summed)
		for p := range r.need {
			for k := range r.plan.Nodes[p] {
				o := &r.operands[r.plan.First[p]+k]
				if p == me {
					*o = allreduce.Operand{Floats: r.parts[k][c.Lo:c.Hi]}
				} else {
					*o = allreduce.Operand{Pieces: r.staged[p][0].Pieces, Skip: 4 * c.Len() * k}
				}
			}
		}
		g.sum.Run(&r.plan.Program, r.dst[c.Lo:c.Hi], r.operands)
		for p := range r.need {
			if p != me {
				r.staged[p][0].Release()
				r.staged[p] = r.staged[p][1:]
			}
		}
		if r.plan.Hops == 2 {
			d := r.dueSum(me, r.summed)
			b := r.pack([][]float32{r.dst}, c)
			err := g.others(func(p int) error { return g.send(p, r.tag, &d, b) })
			b.Release()
			if err != nil {
				return summed, err
			}
		}
	}
	return summed, nil
}
