package engine

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unsafe"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tree"
)

// activations are a step's intermediate values. They grow to the largest step
// and are kept.
type activations struct {
	rows int // capacity
	views
	output, scaled                                             scratch // of choose
	summary                                                    []byte
	locals                                                     []locals // of the product's threads
	hostEmbed, hostRows, hostLogits, hostProcessed, hostScaled []float32
	host                                                       []*hostParts // of each part
}

// scratch is device memory that grows to what was asked for most, and is kept.
type scratch struct{ buf kernels.Buffer }

// grow returns room for n values, with anything in it.
func (s *scratch) grow(b kernels.Backend, n int) (kernels.Buffer, error) {
	if s.buf == nil || s.buf.Len() < n {
		s.free()
		buf, err := b.Alloc(n)
		if err != nil {
			return nil, err
		}
		s.buf = buf
	}
	return s.buf, nil
}

func (s *scratch) free() {
	if s.buf != nil {
		s.buf.Free()
		s.buf = nil
	}
}

// views are the buffers of one step, T rows each.
type views struct {
	x, h                kernels.Buffer // [T, C]
	q, attn             kernels.Buffer // [T, heads, D]
	k, v                kernels.Buffer // [T, kvHeads, D]
	gate, up            kernels.Buffer // [T, ffn]
	attnParts, mlpParts kernels.Buffer // [nodes, T, C]
}

// widths are the values per row of each buffer, in the order of views.all.
func (e *Engine) widths() [10]int {
	m, u := e.m, e.m.plan.Units
	c := m.spec.Hidden
	q := m.share.Heads.Len() * m.spec.HeadDim
	kv := u.KVRange(m.share).Len() * m.spec.HeadDim
	f := u.FFNRange(m.share).Len()
	return [10]int{c, c, q, q, kv, kv, f, f,
		len(tree.Maximal(u.Heads, m.share.Heads)) * c,
		len(tree.Maximal(u.MLPLeaves(), m.share.MLP)) * c}
}

func (v *views) all() [10]*kernels.Buffer {
	return [10]*kernels.Buffer{&v.x, &v.h, &v.q, &v.attn, &v.k, &v.v, &v.gate, &v.up, &v.attnParts, &v.mlpParts}
}

// reserve makes room for rows.
func (a *activations) reserve(e *Engine, rows int) error {
	if rows <= a.rows {
		return nil
	}
	a.free()
	capacity := max(16, a.rows)
	for capacity < rows { // by a quarter of a power of two, since rows of a long prompt are large
		capacity += max(16, 1<<bits.Len(uint(capacity))/8)
	}
	w := e.widths()
	for i, b := range a.all() {
		buf, err := e.b.Alloc(capacity * w[i])
		if err != nil {
			a.free()
			return err
		}
		*b = buf
	}
	a.rows = capacity
	return nil
}

// view cuts the buffers to rows [lo, hi) of a step; those of several nodes lie
// [nodes, hi-lo, C].
func (a *activations) view(e *Engine, lo, hi int) views {
	v := a.views
	w := e.widths()
	for i, b := range v.all() {
		*b = (*b).Slice(lo*w[i], (hi-lo)*w[i])
	}
	return v
}

func (a *activations) free() {
	for _, b := range a.all() {
		if *b != nil {
			(*b).Free()
			*b = nil
		}
	}
	a.output.free()
	a.scaled.free()
	for _, h := range a.host {
		for _, m := range []kernels.HostBuffer{h.terms, h.total} {
			if m != nil {
				m.Free()
			}
		}
	}
	a.host, a.rows = nil, 0
}

func grow(s *[]float32, n int) []float32 {
	if cap(*s) < n {
		*s = make([]float32, n)
	}
	return (*s)[:n]
}

// littleEndian hosts send float32 as they lie in memory.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// floatBytes is f in little-endian bytes; on little-endian hosts f's own memory.
func floatBytes(f []float32) []byte {
	if len(f) == 0 {
		return nil
	}
	if littleEndian {
		return unsafe.Slice((*byte)(unsafe.Pointer(&f[0])), 4*len(f))
	}
	b := make([]byte, 0, 4*len(f))
	for _, v := range f {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// copyFloats fills dst from little-endian bytes.
func copyFloats(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}
