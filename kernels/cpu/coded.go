package cpu

import (
	"encoding/binary"
	"math"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// A coded panel (kernels.Coding) of 64 outputs has the scales of its groups,
// [N, 64], and their offsets, if any, [N, 64] float32; then the codes, strip by
// strip in lines of 64 bytes, interleaved as those of other panels. Each 32-bit
// word of a line is one output of the strip:
//
//	I8, F8   line l, word j: the bytes are output j's codes for k = 4l ... 4l+3
//	U4, I4   line l, word j: the nibbles, lowest first, for k = 8l ... 8l+7
//
// Scales are float32, or binary16 where they are stored so and groups are runs. A
// product decodes a block of K at a time into float32, laid out as a panel of
// those, and goes on as with one: the same bits as if the values had been stored.
type codedLayout struct {
	scales  tensor.DType
	perWord int     // codes in a word
	rowOf   []int32 // where the scales of each k begin, in float32 of [N, 64]
	offsets int     // where in a panel the offsets begin, 0: there are none
	codes   int     // and the codes
}

// codedBlock values of K are decoded at a time: 32 KiB of them.
const codedBlock = 128

func newCodedLayout(spec kernels.WeightSpec) (*codedLayout, int) {
	c := spec.Coding
	l := &codedLayout{scales: tensor.F32, perWord: 32 / spec.DType.Bytes(8), rowOf: make([]int32, spec.K)}
	if c.Scales == tensor.F16 && c.Index == nil {
		l.scales = tensor.F16
	}
	for k := range l.rowOf {
		l.rowOf[k] = int32(c.GroupOf(k) * panelWidth)
	}
	size := c.N * l.scales.Bytes(panelWidth)
	if c.Offsets {
		l.offsets = size
		size += c.N * 4 * panelWidth
	}
	l.codes = size
	lines := (spec.K + l.perWord - 1) / l.perWord
	return l, size + lines*panelStrips*lineBytes
}

// word is where in a panel the word of output j with the code of k lies.
func (l *codedLayout) word(k, j int) int {
	return l.codes + (k/l.perWord*panelStrips+j/stripWidth)*lineBytes + j%stripWidth*4
}

// putRecord places columns [col, col+cols) of output j, given as a record.
func (w *weight) putRecord(panel []byte, record []byte, j, col, cols int) error {
	d, l := w.spec.DType, w.coded
	if err := w.spec.Coding.CheckRecord(record, d, col, cols); err != nil {
		return err
	}
	part, first := w.spec.Coding.Columns(col, cols)
	tail := record[d.Bytes(cols):]
	size := part.Scales.Size()
	for g := range part.N {
		var v [2]float32
		tensor.Widen(v[:1], tail[g*size:], part.Scales)
		if part.Offsets {
			tensor.Widen(v[1:], tail[part.N*size+4*g:], tensor.F32)
		}
		l.putScale(panel, first+g, j, v[0], v[1])
	}
	k := 0
	if col%l.perWord == 0 {
		for ; k+l.perWord <= cols; k += l.perWord {
			copy(panel[l.word(col+k, j):][:4], record[d.Bytes(k):])
		}
	}
	for ; k < cols; k++ {
		code := uint32(record[d.Bytes(k)])
		if l.perWord == 8 {
			code = code >> (k % 2 * 4) & 15
		}
		l.putCode(panel, col+k, j, code)
	}
	return nil
}

func (l *codedLayout) putScale(panel []byte, g, j int, scale, offset float32) {
	i := g*panelWidth + j
	if l.scales == tensor.F16 {
		binary.LittleEndian.PutUint16(panel[2*i:], tensor.Float32ToF16(scale))
	} else {
		binary.LittleEndian.PutUint32(panel[4*i:], math.Float32bits(scale))
	}
	if l.offsets > 0 {
		binary.LittleEndian.PutUint32(panel[l.offsets+4*i:], math.Float32bits(offset))
	}
}

// code and putCode are one code of a panel.
func (l *codedLayout) code(panel []byte, k, j int) uint32 {
	width := 32 / l.perWord
	return binary.LittleEndian.Uint32(panel[l.word(k, j):]) >> (k % l.perWord * width) & (1<<width - 1)
}

func (l *codedLayout) putCode(panel []byte, k, j int, code uint32) {
	width := 32 / l.perWord
	at := panel[l.word(k, j):]
	shift := k % l.perWord * width
	binary.LittleEndian.PutUint32(at, binary.LittleEndian.Uint32(at)&^((1<<width-1)<<shift)|code<<shift)
}

// copyCoded copies columns [from, from+n) of output i of a panel to column to on of
// output j of w's, with the scales of their groups.
func (w *weight) copyCoded(dst []byte, to, j int, src *weight, srcPanel []byte, from, i, n int) {
	l, s := w.coded, src.coded
	last := int32(-1)
	for k := range n {
		l.putCode(dst, to+k, j, s.code(srcPanel, from+k, i))
		if g := s.rowOf[from+k]; g != last {
			last = g
			size := l.scales.Size()
			copy(dst[(int(l.rowOf[to+k])+j)*size:][:size], srcPanel[(int(g)+i)*size:])
			if l.offsets > 0 {
				copy(dst[l.offsets+(int(l.rowOf[to+k])+j)*4:][:4], srcPanel[s.offsets+(int(g)+i)*4:])
			}
		}
	}
}

// decodeScratch is how many float32 a block needs: its values, and scales that
// are not float32.
func (w *weight) decodeScratch() int {
	if w.coded == nil {
		return 0
	}
	n := (codedBlock + 2*w.coded.perWord) * panelWidth
	if w.coded.scales != tensor.F32 {
		n += w.spec.Coding.N * panelWidth
	}
	return n
}

// codedLeaf adds the products over [k0, k1) to c [n, ldc].
func (m *matmul) codedLeaf(c, scratch []float32, ldc, r0, n, p0, p1, k0, k1 int) {
	l := m.w.coded
	for p := p0; p < p1; p++ {
		panel := m.w.mem.data[p*m.w.panelBytes : (p+1)*m.w.panelBytes]
		scales, values := bytesAsFloats(panel[:l.codes]), scratch
		if l.scales != tensor.F32 {
			scales = scratch[:m.w.spec.Coding.N*panelWidth]
			values = scratch[len(scales):]
			g0, g1 := int(l.rowOf[k0]), int(l.rowOf[k1-1])+panelWidth
			m.v.widenHalves(scales[g0:g1], panel[2*g0:2*g1])
		}
		var offsets []float32
		if l.offsets > 0 {
			offsets = bytesAsFloats(panel[l.offsets:l.codes])
		}
		if n == 1 && k0%l.perWord == 0 {
			m.v.codedRow(m.w.spec.DType, c[(p-p0)*panelWidth:], m.x[r0*m.w.spec.K+k0:], panel[l.codes+k0/l.perWord*panelStrips*lineBytes:], scales, offsets, l.rowOf[k0:k1])
			continue
		}
		for k := k0; k < k1; {
			end := min(k+codedBlock-k%l.perWord, k1)
			base := k - k%l.perWord
			lines := (end - base + l.perWord - 1) / l.perWord
			rowOf := l.rowOf[base:min(base+lines*l.perWord, len(l.rowOf))]
			m.v.decode(m.w.spec.DType, values, panel[l.codes+base/l.perWord*panelStrips*lineBytes:][:lines*panelStrips*lineBytes], scales, offsets, rowOf)
			m.decoded(c[(p-p0)*panelWidth:], ldc, r0, n, values[(k-base)*panelWidth:], k, end)
			k = end
		}
	}
}

// decoded adds the products over [k0, k1) of one panel, whose values are given from
// k0 on, to c [n, ldc].
func (m *matmul) decoded(c []float32, ldc, r0, n int, values []float32, k0, k1 int) {
	raw := floatsAsBytes(values)
	tiles := (n + maxTileRows - 1) / maxTileRows
	for t := range tiles {
		r := n * t / tiles
		rows := n*(t+1)/tiles - r
		strips := m.v.strips[rows]
		for q := 0; q < panelStrips; q += strips {
			m.v.gemm(tensor.F32, c[r*ldc+q*stripWidth:], ldc, m.x[(r0+r)*m.w.spec.K+k0:], m.w.spec.K,
				raw[place(0, q, tensor.F32):], rows, strips, k1-k0, 0)
		}
	}
}

func decodeGo(d tensor.DType, dst []float32, codes []byte, scales, offsets []float32, rowOf []int32) {
	perWord := 32 / d.Bytes(8)
	var raw [4]byte
	var word [8]float32
	for k0 := 0; k0 < len(rowOf); k0 += perWord {
		line := codes[k0/perWord*panelStrips*lineBytes:]
		for j := range panelWidth {
			copy(raw[:], line[j*4:])
			tensor.Widen(word[:perWord], raw[:], d)
			for i := range min(perWord, len(rowOf)-k0) {
				at := int(rowOf[k0+i]) + j
				v := float32(scales[at] * word[i])
				if offsets != nil {
					v += offsets[at]
				}
				dst[(k0+i)*panelWidth+j] = v
			}
		}
	}
}

func codedRowGo(d tensor.DType, c, x []float32, codes []byte, scales, offsets []float32, rowOf []int32) {
	var values [8 * panelWidth]float32
	perWord := 32 / d.Bytes(8)
	for k0 := 0; k0 < len(rowOf); k0 += perWord {
		n := min(perWord, len(rowOf)-k0)
		decodeGo(d, values[:], codes[k0/perWord*panelStrips*lineBytes:], scales, offsets, rowOf[k0:k0+n])
		for i := range n {
			for j := range panelWidth {
				c[j] = fma32(x[k0+i], values[i*panelWidth+j], c[j])
			}
		}
	}
}

func widenHalvesGo(dst []float32, src []byte) { tensor.Widen(dst, src, tensor.F16) }
