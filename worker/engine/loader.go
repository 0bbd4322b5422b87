package engine

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
)

// loader loads weights one after the other and keeps the first error.
type loader struct {
	LoadConfig
	ctx        context.Context
	done, read atomic.Int64
	total      int64
	units      openUnits // of the layer that is being loaded
	cached     int64     // bytes that came from units on disk
	fromPeers  int64     // bytes that came from units of other workers
	embed      kernels.Table
	err        error
}

// open finds the rank's slice of a weight in its stored tensor.
func (l *loader) open(role model.Role, i int) (r *region, ok bool) {
	if l.err == nil {
		l.err = l.ctx.Err()
	}
	if l.err != nil {
		return nil, false
	}
	ref := l.Spec.Tensor(role, i)
	info, err := l.Source.Info(ref.Name)
	if err != nil {
		l.err = err
		return nil, false
	}
	slice := l.Plan.Slice(l.Spec, l.Rank, role)
	row, _, col, _ := slice.Region(ref)
	return &region{l: l, info: info, row: row, col: col, spec: stored(info, ref, slice)}, true
}

// vector loads the rank's part of a norm's or a bias's values; nil where the
// architecture has none.
func (l *loader) vector(role model.Role, i int) kernels.Buffer {
	if !l.Spec.Has(role) {
		return nil
	}
	r, ok := l.open(role, i)
	if !ok {
		return nil
	}
	raw := make([]byte, r.rowBytes())
	if l.err = r.ReadRows(raw, 0, 1, 0, r.spec.K); l.err != nil {
		return nil
	}
	host := make([]float32, r.spec.K)
	r.spec.Widen(host, raw)
	if l.err = r.checkFinite(host, 0); l.err != nil {
		return nil
	}
	if o := l.Spec.NormOffset; o != 0 && role.Norm() {
		for j := range host {
			host[j] += o
		}
	}
	buf, err := l.Backend.Alloc(len(host))
	if err == nil {
		err = l.Backend.Upload(buf, host)
	}
	l.err = err
	return buf
}

// matrix packs the rank's slice of a matrix, from what is packed of it and from
// the source. old is the old share's slice, which is freed.
func (l *loader) matrix(role model.Role, i int, old *kernels.Weight) kernels.Weight {
	r, ok := l.open(role, i)
	if !ok {
		return nil
	}
	w, err := l.Backend.Pack(weightSpec(l.Spec, l.Plan, l.Rank, role, r.spec, l.Format), l.reader(role, r), l.pieces(role, i, r.info, *old)...)
	l.release(r.spec.Name)
	l.forget(old)
	if err != nil {
		l.err = err
		return nil
	}
	// What came from pieces counts as loaded too.
	l.note(r.spec.Out*r.rowBytes() - int(r.bytes.Load()))
	return w
}

// table keeps the rank's rows of the embedding.
func (l *loader) table(role model.Role, old *kernels.Table) kernels.Table {
	r, ok := l.open(role, 0)
	if !ok {
		return nil
	}
	t, err := l.Backend.NewTable(r.spec, finite{r, l.tablePieces(role, r.rowBytes(), *old)})
	l.release(r.spec.Name)
	if *old != nil && !l.KeepOld {
		(*old).Free()
		*old = nil
	}
	if err != nil {
		l.err = err
		return nil
	}
	return t
}

// forget frees a weight of the old share.
func (l *loader) forget(old *kernels.Weight) {
	if *old != nil && !l.KeepOld {
		(*old).Free()
		*old = nil
	}
}

func (l *loader) release(name string) {
	if r, ok := l.Source.(checkpoint.Releaser); ok {
		r.Release(name)
	}
}

// region is the part of a stored tensor that one weight is made of: its row 0,
// column 0 is the tensor's (row, col).
type region struct {
	l        *loader
	info     checkpoint.Info
	row, col int
	spec     kernels.WeightSpec // the region alone
	bytes    atomic.Int64       // read so far
}

// reader is where a matrix's rows come from that are not packed yet: the source,
// or the table that has the same rows, where embedding and head are one.
func (l *loader) reader(role model.Role, r *region) kernels.RowReader {
	st, ok := l.Backend.(kernels.Storer)
	if role != model.Head || l.embed == nil || !ok || l.Spec.Tensor(model.Embed, 0) != l.Spec.Tensor(model.Head, 0) {
		return r
	}
	return tied{r, st, l.embed}
}

// tied reads a share's rows of the head out of its embedding table.
type tied struct {
	*region
	st    kernels.Storer
	table kernels.Table
}

// ReadRows implements kernels.RowReader.
func (t tied) ReadRows(dst []byte, row, n, col, cols int) error {
	if col != 0 || cols != t.spec.K {
		return t.region.ReadRows(dst, row, n, col, cols)
	}
	rows, err := t.st.TableRows(t.table, row, n)
	if err != nil {
		return err
	}
	t.bytes.Add(int64(copy(dst, rows)))
	t.l.note(len(dst))
	return nil
}

// rowBytes is the size of a row as it is stored.
func (r *region) rowBytes() int { return r.spec.RowBytes(0, r.spec.K) }

// ReadRows implements kernels.RowReader.
func (r *region) ReadRows(dst []byte, row, n, col, cols int) error {
	if err := r.l.Source.ReadRegion(r.l.ctx, dst, r.spec.Name, r.row+row, n, r.col+col, cols); err != nil {
		return err
	}
	r.bytes.Add(int64(len(dst)))
	r.l.read.Add(int64(len(dst)))
	r.l.note(len(dst))
	return nil
}

// note counts bytes of the share that are loaded.
func (l *loader) note(bytes int) {
	done := l.done.Add(int64(bytes))
	if l.Progress != nil {
		l.Progress(done, l.total)
	}
}

func (r *region) checkFinite(values []float32, row int) error {
	for j, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("tensor %s: element [%d, %d] is %v: the checkpoint is damaged; fetch it again", r.spec.Name, r.row+row, r.col+j, v)
		}
	}
	return nil
}

// finite reads a table's rows, from what is in memory of it or from the source,
// and refuses those that hold a value that is not a number. (Pack looks by
// itself.)
type finite struct {
	*region
	have []tablePiece
}

// tablePiece is rows of a table, as stored.
type tablePiece struct {
	rows tree.Range
	data []byte
}

// ReadRows implements kernels.RowReader.
func (f finite) ReadRows(dst []byte, row, n, col, cols int) error {
	rowBytes := f.rowBytes()
	values := make([]float32, f.spec.K)
	for n > 0 {
		run, err := f.readRun(dst, row, n, rowBytes)
		if err != nil {
			return err
		}
		for i := range run {
			f.spec.Widen(values, dst[i*rowBytes:(i+1)*rowBytes])
			if err := f.checkFinite(values, row+i); err != nil {
				return err
			}
		}
		dst, row, n = dst[run*rowBytes:], row+run, n-run
	}
	return nil
}

// readRun reads as many of n rows as lie in one place.
func (f finite) readRun(dst []byte, row, n, rowBytes int) (int, error) {
	run := n
	for _, p := range f.have {
		if row >= p.rows.Lo && row < p.rows.Hi {
			run = min(n, p.rows.Hi-row)
			copy(dst[:run*rowBytes], p.data[(row-p.rows.Lo)*rowBytes:])
			f.l.note(run * rowBytes)
			return run, nil
		}
		if row < p.rows.Lo {
			run = min(run, p.rows.Lo-row)
		}
	}
	return run, f.region.ReadRows(dst[:run*rowBytes], row, run, 0, f.spec.K)
}
