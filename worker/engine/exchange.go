package engine

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/plan"
)

const (
	// defaultParts is in how many parts the rows of a large step go through the layers:
	// while one part's sums are on the network the device computes another's.
	defaultParts = 2
	// defaultPartRows is from how many rows on a part keeps a device as busy as all rows
	// would.
	defaultPartRows = 128
)

// part is rows of a step that go through the layers by themselves. What they come to
// does not depend on how a step is cut.
type part struct {
	views
	rows   int // those of sequences; the views may have more
	angles []int32
	seqs   [][]kernels.SeqRows
	host   *hostParts
	last   *sum // of the half before, nil before the first
}

// hostParts is the host's memory for a part's sums, where it cannot address the
// device's.
type hostParts struct{ terms, total kernels.HostBuffer }

// sum is a row-parallel product that is to be summed over the ranks and added to the
// residual stream.
type sum struct {
	tag    collective.Tag
	parts  kernels.Buffer // this rank's subtrees
	norm   kernels.Buffer // what the result goes through, or nil
	leaves int
	of     func(plan.Share) tree.Range
	total  kernels.Buffer
	// done is closed when err is set, by the goroutine that exchanges.
	done chan struct{}
	err  error
}

// cut cuts a step's rows into parts.
func (e *Engine) cut(b *batch, rows int, angles []int32) ([]part, error) {
	most, least := e.cfg.Parts, e.cfg.PartRows
	if most == 0 {
		most = defaultParts
	}
	if least == 0 {
		least = defaultPartRows
	}
	n := 1
	if e.comm.WorldSize() > 1 {
		n = max(1, min(most, b.rows/least))
	}
	size := b.rows
	if n > 1 {
		size = ((b.rows+n-1)/n + least - 1) / least * least
	}
	var parts []part
	for lo := 0; lo < b.rows; lo += size {
		hi := lo + size
		if hi >= b.rows {
			hi = rows
		}
		p := part{views: e.act.view(e, lo, hi), rows: min(hi, b.rows) - lo, angles: angles[lo:hi], seqs: b.seqs}
		if n > 1 {
			p.seqs = cutSeqs(b.seqs, lo, hi)
		}
		if _, ok := e.b.(kernels.Copier); ok && e.comm.WorldSize() > 1 {
			var err error
			if p.host, err = e.act.hostParts(e, len(parts), hi-lo); err != nil {
				return nil, err
			}
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// cutSeqs is the sequences' rows [lo, hi), of each group of layers.
func cutSeqs(groups [][]kernels.SeqRows, lo, hi int) [][]kernels.SeqRows {
	out := make([][]kernels.SeqRows, len(groups))
	for g, seqs := range groups {
		for _, s := range seqs {
			from, to := max(s.Row, lo), min(s.Row+s.N, hi)
			if from < to {
				out[g] = append(out[g], kernels.SeqRows{Row: from - lo, N: to - from, Pos: s.Pos + from - s.Row, Blocks: s.Blocks})
			}
		}
	}
	return out
}

// exchanges are a step's sums over the ranks, in the order in which they were begun,
// beside what the caller computes where there are several parts.
type exchanges struct {
	e      *Engine
	ctx    context.Context
	beside bool
	last   *sum
}

// begin begins the sum of a part's product.
func (x *exchanges) begin(p *part, s sum) error {
	e := x.e
	p.last = &s
	if e.comm.WorldSize() == 1 {
		s.total = s.parts.Slice(0, p.x.Len())
		return nil
	}
	s.total = p.h // free between the product and the next norm
	summands, wait, err := e.summands(p, &s)
	if err != nil {
		return err
	}
	dst := e.b.Host(p.h)
	if dst == nil {
		dst = p.host.total.Floats()
	}
	dst = dst[:p.rows*e.m.spec.Hidden]
	reduce := func() error {
		if err := wait(); err != nil {
			return err
		}
		start := time.Now()
		err := e.comm.AllReduce(x.ctx, s.tag, summands, dst)
		if !x.beside {
			e.collectiveNanos += time.Since(start).Nanoseconds()
		}
		return err
	}
	if !x.beside {
		return reduce()
	}
	before := x.last
	x.last, s.done = &s, make(chan struct{})
	go func() {
		defer close(s.done)
		if before != nil {
			<-before.done
			if s.err = before.err; s.err != nil {
				return
			}
		}
		s.err = reduce()
	}()
	return nil
}

// summands are this rank's parts of a sum, in the host's memory once wait returns.
func (e *Engine) summands(p *part, s *sum) (c collective.Summands, wait func() error, err error) {
	c.Leaves = s.leaves
	for _, sh := range e.m.plan.Shares {
		c.Shares = append(c.Shares, s.of(sh))
	}
	wait = func() error { return nil }
	nodes := len(tree.Maximal(s.leaves, c.Shares[e.comm.Rank()]))
	stride, size := p.x.Len(), p.rows*e.m.spec.Hidden // of a part, and of what counts of it
	used := p.x.Slice(0, 0)
	if nodes > 0 {
		used = s.parts.Slice(0, (nodes-1)*stride+size)
	}
	host := e.b.Host(used)
	if p.host == nil {
		err = e.b.Sync()
	} else { // also of nothing, for what follows is to wait for the ops before
		e.b.(kernels.Copier).Fetch(p.host.terms, used)
		host, wait = p.host.terms.Floats(), p.host.terms.Wait
	}
	for n := range nodes {
		c.Parts = append(c.Parts, host[n*stride:n*stride+size])
	}
	return c, wait, err
}

// finish waits for a part's last sum: what is to be added to the residual stream, under
// the norm after it if there is one. Nil before the first.
func (x *exchanges) finish(p *part) (kernels.Buffer, error) {
	s, e := p.last, x.e
	if s == nil {
		return nil, nil
	}
	p.last = nil
	if s.done != nil {
		start := time.Now()
		<-s.done
		e.collectiveNanos += time.Since(start).Nanoseconds()
		if s.err != nil {
			return nil, s.err
		}
	}
	if p.host != nil {
		e.b.(kernels.Copier).Put(s.total.Slice(0, p.rows*e.m.spec.Hidden), p.host.total)
	}
	if s.norm != nil {
		e.b.RMSNorm(p.h, s.total, s.norm, p.x.Len()/s.norm.Len(), e.m.spec.NormEps)
		return p.h, nil
	}
	return s.total, nil
}

// wait returns when nothing is under way any more.
func (x *exchanges) wait() {
	if x.last != nil {
		<-x.last.done
	}
}

// hostParts is the i-th part's memory, for rows.
func (a *activations) hostParts(e *Engine, i, rows int) (*hostParts, error) {
	for len(a.host) <= i {
		a.host = append(a.host, &hostParts{})
	}
	w := e.widths()
	rows = max(16, 1<<bits.Len(uint(rows-1)))
	terms, total := rows*max(w[8], w[9]), rows*e.m.spec.Hidden
	h := a.host[i]
	for _, m := range []struct {
		of *kernels.HostBuffer
		n  int
	}{{&h.terms, terms}, {&h.total, total}} {
		if *m.of != nil && len((*m.of).Floats()) >= m.n {
			continue
		}
		if *m.of != nil {
			(*m.of).Free()
			*m.of = nil
		}
		var err error
		if *m.of, err = e.b.(kernels.Copier).NewHostBuffer(m.n); err != nil {
			return nil, fmt.Errorf("memory of the host for %d rows: %w", rows, err)
		}
	}
	return h, nil
}
