package engine

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
)

// reduction is how a product's K is cut; the zero value is one leaf.
type reduction struct {
	leaves []int
	nodes  []tree.Range
}

// loader loads weights one after the other and keeps the first error.
type loader struct {
	LoadConfig
	ctx        context.Context
	done, read atomic.Int64
	total      int64
	err        error
}

// open finds the rank's slice of a weight in its stored tensor, and how much of
// it an old share has.
func (l *loader) open(role model.Role, i int) (r *region, rows int, ok bool) {
	if l.err == nil {
		l.err = l.ctx.Err()
	}
	if l.err != nil {
		return nil, 0, false
	}
	ref := l.Spec.Tensor(role, i)
	info, err := l.Source.Info(ref.Name)
	if err != nil {
		l.err = err
		return nil, 0, false
	}
	slice := l.Plan.Slice(l.Spec, l.Rank, role)
	row, rows, col, cols := slice.Region(ref)
	r = &region{l: l, name: ref.Name, dtype: info.DType, row: row, col: col, cols: cols}
	if l.Old.spec != nil {
		had := l.Old.plan.Slice(l.Spec, l.Old.rank, role)
		r.haveRows = overlap(had.Rows, slice.Rows, slice.Rows.Lo)
		r.haveCols = overlap(had.Cols, slice.Cols, slice.Cols.Lo)
		r.oldRow, r.oldCol = slice.Rows.Lo-had.Rows.Lo, slice.Cols.Lo-had.Cols.Lo
	}
	return r, rows, true
}

// overlap is what a and b have in common, less by.
func overlap(a, b tree.Range, by int) tree.Range {
	r := tree.Range{Lo: max(a.Lo, b.Lo) - by, Hi: min(a.Hi, b.Hi) - by}
	if r.Empty() {
		return tree.Range{}
	}
	return r
}

func (l *loader) vector(role model.Role, i int) kernels.Buffer {
	r, _, ok := l.open(role, i)
	if !ok {
		return nil
	}
	raw := make([]byte, r.cols*r.dtype.Size())
	if l.err = r.ReadRows(raw, 0, 1); l.err != nil {
		return nil
	}
	host := make([]float32, r.cols)
	tensor.Widen(host, raw, r.dtype)
	if l.err = r.checkFinite(host, 0); l.err != nil {
		return nil
	}
	buf, err := l.Backend.Alloc(len(host))
	if err == nil {
		err = l.Backend.Upload(buf, host)
	}
	l.err = err
	return buf
}

// matrix packs the rank's slice of a matrix. old is the old share's slice, which
// is freed.
func (l *loader) matrix(role model.Role, i int, red reduction, old *kernels.Weight) kernels.Weight {
	r, rows, ok := l.open(role, i)
	if !ok {
		return nil
	}
	if u, can := l.Backend.(kernels.Unpacker); can && *old != nil && l.Old.format == kernels.AsStored {
		r.unpack = func(dst []byte, row, n, col, cols int) { u.Unpack(dst, *old, row, n, col, cols) }
	}
	w, err := l.Backend.Pack(kernels.WeightSpec{Name: r.name, Out: rows, K: r.cols, DType: r.dtype, Format: l.Format, Leaves: red.leaves, Nodes: red.nodes}, r)
	l.release(r.name)
	if *old != nil {
		(*old).Free()
		*old = nil
	}
	if err != nil {
		l.err = err
		return nil
	}
	return w
}

// table keeps the rank's rows of the embedding.
func (l *loader) table(role model.Role, old *kernels.Table) kernels.Table {
	r, rows, ok := l.open(role, 0)
	if !ok {
		return nil
	}
	if u, can := l.Backend.(kernels.Unpacker); can && *old != nil {
		r.unpack = func(dst []byte, row, n, _, _ int) { u.UnpackTable(dst, *old, row, n) }
	}
	t, err := l.Backend.NewTable(rows, r.cols, r.dtype, finite{r})
	l.release(r.name)
	if *old != nil {
		(*old).Free()
		*old = nil
	}
	if err != nil {
		l.err = err
		return nil
	}
	return t
}

func (l *loader) release(name string) {
	if r, ok := l.Source.(checkpoint.Releaser); ok {
		r.Release(name)
	}
}

// region is the part of a stored tensor that one weight is made of: its row 0,
// column 0 is the tensor's (row, col). Rows haveRows and columns haveCols of it
// are in an old weight, from (oldRow, oldCol) on.
type region struct {
	l                  *loader
	name               string
	dtype              tensor.DType
	row, col, cols     int
	haveRows, haveCols tree.Range
	oldRow, oldCol     int
	unpack             func(dst []byte, row, n, col, cols int) // nil: nothing is at hand
}

// ReadRows implements kernels.RowReader.
func (r *region) ReadRows(dst []byte, row, n int) error {
	rowBytes := r.cols * r.dtype.Size()
	for n > 0 {
		had := r.unpack != nil && row >= r.haveRows.Lo && row < r.haveRows.Hi && !r.haveCols.Empty()
		run := n // rows that are all had, or all not
		if r.unpack != nil && !r.haveCols.Empty() {
			if had {
				run = min(n, r.haveRows.Hi-row)
			} else if row < r.haveRows.Lo {
				run = min(n, r.haveRows.Lo-row)
			}
		}
		var err error
		if had {
			err = r.readMixed(dst[:run*rowBytes], row, run)
		} else {
			err = r.fetch(dst[:run*rowBytes], row, run, 0, r.cols)
		}
		if err != nil {
			return err
		}
		dst, row, n = dst[run*rowBytes:], row+run, n-run
	}
	return nil
}

// readMixed reads rows of which the old weight has columns haveCols.
func (r *region) readMixed(dst []byte, row, n int) error {
	size := r.dtype.Size()
	for _, c := range []struct {
		cols tree.Range
		had  bool
	}{{tree.Range{Lo: 0, Hi: r.haveCols.Lo}, false}, {r.haveCols, true}, {tree.Range{Lo: r.haveCols.Hi, Hi: r.cols}, false}} {
		if c.cols.Empty() {
			continue
		}
		part := dst
		if c.cols.Len() < r.cols {
			part = make([]byte, n*c.cols.Len()*size)
		}
		if c.had {
			r.unpack(part, r.oldRow+row, n, r.oldCol+c.cols.Lo, c.cols.Len())
			r.note(len(part))
		} else if err := r.fetch(part, row, n, c.cols.Lo, c.cols.Len()); err != nil {
			return err
		}
		if c.cols.Len() < r.cols {
			w := c.cols.Len() * size
			for i := range n {
				copy(dst[(i*r.cols+c.cols.Lo)*size:], part[i*w:(i+1)*w])
			}
		}
	}
	return nil
}

// fetch reads from the source.
func (r *region) fetch(dst []byte, row, n, col, cols int) error {
	if err := r.l.Source.ReadRegion(r.l.ctx, dst, r.name, r.row+row, n, r.col+col, cols); err != nil {
		return err
	}
	r.l.read.Add(int64(len(dst)))
	r.note(len(dst))
	return nil
}

func (r *region) note(bytes int) {
	done := r.l.done.Add(int64(bytes))
	if r.l.Progress != nil {
		r.l.Progress(done, r.l.total)
	}
}

func (r *region) checkFinite(values []float32, row int) error {
	for j, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("tensor %s: element [%d, %d] is %v: the checkpoint is damaged; fetch it again", r.name, r.row+row, r.col+j, v)
		}
	}
	return nil
}

// finite refuses rows that hold a value that is not a number; Pack looks by
// itself.
type finite struct{ *region }

// ReadRows implements kernels.RowReader.
func (f finite) ReadRows(dst []byte, row, n int) error {
	if err := f.region.ReadRows(dst, row, n); err != nil {
		return err
	}
	values := make([]float32, f.cols)
	rowBytes := f.cols * f.dtype.Size()
	for i := range n {
		tensor.Widen(values, dst[i*rowBytes:], f.dtype)
		if err := f.checkFinite(values, row+i); err != nil {
			return err
		}
	}
	return nil
}
