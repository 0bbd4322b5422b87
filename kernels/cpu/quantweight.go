package cpu

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// A quantized panel of 64 outputs is made of groups of 32 values along K
// (kernels.Format), one after the other: the scales of its four strips, binary16,
// then strip by strip lines of 64 bytes. Each 32-bit word of a line is one output
// of the strip, so that the sums of four products in a word are that output's and
// no lane is ever added to another:
//
//	Q8   line l, word j: the bytes are output j's integers for k = 4l ... 4l+3
//	Q4   line l, word j: the low nibbles are output j's integers plus 8 for
//	     k = 8l ... 8l+3, the high ones those for k = 8l+4 ... 8l+7
//
// What is missing to a whole group or panel is zero.
const quantScaleBytes = panelWidth * 2

// quantLines is the number of lines of a strip in a group.
func quantLines(f kernels.Format) int {
	if f == kernels.Q8 {
		return 8
	}
	return 4
}

// quantGroupBytes is the size of a panel's group.
func quantGroupBytes(f kernels.Format) int {
	return quantScaleBytes + panelStrips*quantLines(f)*lineBytes
}

// layGroups numbers the groups of the leaves.
func (w *weight) layGroups() {
	w.groupOf, w.wholeGroups = make([]int, len(w.leaves)), true
	for i := range len(w.leaves) - 1 {
		n := w.leaves[i+1] - w.leaves[i]
		w.groupOf[i+1] = w.groupOf[i] + kernels.Groups(n)
		w.wholeGroups = w.wholeGroups && n%kernels.Group == 0
	}
	w.panelBytes = w.groupOf[len(w.leaves)-1] * quantGroupBytes(w.spec.Format)
}

// quantPanel quantizes rows of stored values into a panel, the first of which is
// row first of the matrix.
func (w *weight) quantPanel(dst, rows []byte, row []float32, first int) error {
	d, k := w.spec.DType, w.spec.K
	clear(dst)
	for j := range len(rows) / (k * d.Size()) {
		tensor.Widen(row[:k], rows[j*k*d.Size():], d)
		for i := range len(w.leaves) - 1 {
			leaf, g := row[w.leaves[i]:w.leaves[i+1]], w.groupOf[i]
			for ; len(leaf) > 0; g++ {
				n := min(kernels.Group, len(leaf))
				if err := quantGroup(dst[g*quantGroupBytes(w.spec.Format):], leaf[:n], j, w.spec.Format); err != nil {
					return fmt.Errorf("%s: row %d: %w", w.spec.Name, first+j, err)
				}
				leaf = leaf[n:]
			}
		}
	}
	return nil
}

// quantGroup is reference.QuantizeWeights for one group of output j of a panel.
func quantGroup(dst []byte, w []float32, j int, f kernels.Format) error {
	top, size := float32(0), float32(0)
	for _, v := range w {
		if a := math.Float32frombits(math.Float32bits(v) & 0x7fffffff); a > size {
			top, size = v, a
		}
	}
	scale, least, most := top/-8, float32(-8), float32(7)
	if f == kernels.Q8 {
		scale, least, most = size/127, -127, 127
	}
	half := tensor.Float32ToF16(scale)
	if half&0x7c00 == 0x7c00 {
		return fmt.Errorf("a weight of %v is too large to be quantized", top)
	}
	binary.LittleEndian.PutUint16(dst[2*j:], half)
	inv := float32(0)
	if s := tensor.HalfToFloat32(half); s != 0 {
		inv = 1 / s
	}
	var q [kernels.Group]byte
	for i, v := range w {
		q[i] = byte(roundInt(min(max(float32(v*inv), least), most)))
	}
	lines := dst[quantScaleBytes+(j/stripWidth*quantLines(f)*lineBytes)+j%stripWidth*4:]
	if f == kernels.Q8 {
		for l := range 8 {
			copy(lines[l*lineBytes:][:4], q[4*l:])
		}
		return nil
	}
	for l := range 4 {
		lo, hi := binary.LittleEndian.Uint32(q[8*l:]), binary.LittleEndian.Uint32(q[8*l+4:])
		// Integers are -8 to 7; flipping bit 3 of a nibble adds 8 to it.
		binary.LittleEndian.PutUint32(lines[l*lineBytes:], (lo&0x0f0f0f0f|hi&0x0f0f0f0f<<4)^0x88888888)
	}
	return nil
}

func quantGemmGo(tileRows int) quantGemmFunc {
	return func(f kernels.Format, c []float32, ldc int, wide bool, x, w []byte, m, groups, _ int) {
		for g := range groups {
			group := w[g*quantGroupBytes(f):]
			tile := x[g*tileStride(tileRows, wide):]
			for o := range panelWidth {
				var n [kernels.Group]int32
				readGroup(&n, group, o, f)
				scale := tensor.HalfToFloat32(binary.LittleEndian.Uint16(group[2*o:]))
				for r := range m {
					dot := int32(0)
					quants := tile[r*quantBytes(wide):][:quantBytes(wide)]
					for i, w := range n {
						if wide {
							dot += w * int32(int16(binary.LittleEndian.Uint16(quants[i%2*kernels.Group+i/4*4+i%4/2*2:])))
						} else {
							dot += w * int32(int8(quants[i]))
						}
					}
					rowScale := math.Float32frombits(binary.LittleEndian.Uint32(tile[tileRows*quantBytes(wide)+4*r:]))
					acc := &c[r*ldc+o]
					*acc = fma32(float32(dot), float32(scale*rowScale), *acc)
				}
			}
		}
	}
}

// readGroup reads the integers of output j of a panel's group.
func readGroup(n *[kernels.Group]int32, group []byte, j int, f kernels.Format) {
	lines := group[quantScaleBytes+(j/stripWidth*quantLines(f)*lineBytes)+j%stripWidth*4:]
	for i := range n {
		if f == kernels.Q8 {
			n[i] = int32(int8(lines[i/4*lineBytes+i%4]))
		} else {
			n[i] = int32(lines[i/8*lineBytes+i%4]>>(i/4%2*4)&15) - 8
		}
	}
}

// copyGroup copies output from of a panel's group to output to of another's.
func copyGroup(dst []byte, to int, src []byte, from int, f kernels.Format) {
	copy(dst[2*to:][:2], src[2*from:])
	at := func(j int) int { return quantScaleBytes + j/stripWidth*quantLines(f)*lineBytes + j%stripWidth*4 }
	for l := range quantLines(f) {
		copy(dst[at(to)+l*lineBytes:][:4], src[at(from)+l*lineBytes:])
	}
}
