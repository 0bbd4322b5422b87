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

// quantPlace is where in a panel's group the first word of output j stands.
func quantPlace(f kernels.Format, j int) int {
	return quantScaleBytes + j/stripWidth*quantLines(f)*lineBytes + j%stripWidth*4
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

// quantAhead groups of all rows are quantized together: their part of the panel
// stays in the first cache, which row by row the whole panel would not.
const quantAhead = 4

// quantPanel quantizes rows of stored values into a panel, the first of which is
// row first of the matrix.
func (w *weight) quantPanel(v *variant, dst, rows []byte, first int) error {
	d, f := w.spec.DType, w.spec.Format
	size, bytes := d.Size(), quantGroupBytes(f)
	rowBytes := w.spec.K * size
	clear(dst)
	var wide [kernels.Group]float32
	for i := range len(w.leaves) - 1 {
		end := w.leaves[i+1]
		for k, g := w.leaves[i], w.groupOf[i]; k < end; k, g = k+quantAhead*kernels.Group, g+quantAhead {
			n := min(quantAhead*kernels.Group, end-k)
			for j := range len(rows) / rowBytes {
				row := rows[j*rowBytes+k*size:][:n*size]
				groups := v.packQuant(f, d, dst[g*bytes:], row, j, n/kernels.Group)
				if groups*kernels.Group == n {
					continue
				}
				// What is left is less than a group, or one that is refused.
				rest := wide[:min(n-groups*kernels.Group, kernels.Group)]
				tensor.Widen(rest, row[groups*kernels.Group*size:], d)
				if err := quantGroup(dst[(g+groups)*bytes:], rest, j, f); err != nil {
					return fmt.Errorf("%s: row %d: %w", w.spec.Name, first+j, err)
				}
			}
		}
	}
	return nil
}

func packQuantGo(f kernels.Format, d tensor.DType, panel, row []byte, j, groups int) int {
	var wide [kernels.Group]float32
	for g := range groups {
		tensor.Widen(wide[:], row[g*kernels.Group*d.Size():], d)
		if quantGroup(panel[g*quantGroupBytes(f):], wide[:], j, f) != nil {
			return g
		}
	}
	return groups
}

// quantGroup quantizes one group of output j of a panel.
func quantGroup(dst []byte, w []float32, j int, f kernels.Format) error {
	var q [kernels.Group / 4]uint32
	scale, err := kernels.QuantizeGroup(&q, w, f)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint16(dst[2*j:], scale)
	lines := dst[quantPlace(f, j):]
	if f == kernels.Q8 {
		for l, word := range q {
			binary.LittleEndian.PutUint32(lines[l*lineBytes:], word)
		}
		return nil
	}
	for l := range 4 {
		// Integers are -8 to 7; flipping bit 3 of a nibble adds 8 to it.
		binary.LittleEndian.PutUint32(lines[l*lineBytes:], (q[2*l]&0x0f0f0f0f|q[2*l+1]&0x0f0f0f0f<<4)^0x88888888)
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
	lines := group[quantPlace(f, j):]
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
	for l := range quantLines(f) {
		copy(dst[quantPlace(f, to)+l*lineBytes:][:4], src[quantPlace(f, from)+l*lineBytes:])
	}
}
