package kernels

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sullae/sullae/kernels/tensor"
)

// Coding says what the codes of a matrix mean that comes quantized. Element
// [o, k] is, in float32,
//
//	scale[o, g]·code[o, k] + offset[o, g]    g = GroupOf(k)
//
// product and sum each rounded; without offsets it is the product alone. These
// are the weights, whatever made them: a product takes them as it takes float32
// ones, and has the same bits as if they had been stored so. A backend that rounds
// activations (Info.Rounds) may sum a group's codes before it scales them.
//
// A row is stored as a record: the codes along K (WeightSpec.DType; of two in a
// byte the first is in the low half), the row's scales, then its offsets.
type Coding struct {
	Scales  tensor.DType // F32, BF16 or F16
	Offsets bool         // float32, as many as scales
	// Size is how many values along K share a scale, counted from Phase before
	// the first; 0 if Index says.
	Size, Phase int
	// Index is the group of each k, for groups that are not runs along K.
	Index []int32
	// N is the number of groups.
	N int
}

// Runs is a Coding of k values in groups of size, one after the other.
func Runs(scales tensor.DType, offsets bool, k, size int) *Coding {
	return &Coding{Scales: scales, Offsets: offsets, Size: size, N: (k + size - 1) / size}
}

// GroupOf is the group of value k.
func (c *Coding) GroupOf(k int) int {
	if c.Index != nil {
		return int(c.Index[k])
	}
	return (k + c.Phase) / c.Size
}

// Columns is the Coding of columns [col, col+cols) alone: the groups that they
// belong to, first of which is c's group first. Groups given by an Index are all
// kept.
func (c *Coding) Columns(col, cols int) (sub *Coding, first int) {
	out := *c
	if c.Index != nil {
		out.Index = c.Index[col : col+cols]
		return &out, 0
	}
	if cols == 0 {
		out.N = 0
		return &out, 0
	}
	first = c.GroupOf(col)
	out.Phase = (col + c.Phase) % c.Size
	out.N = c.GroupOf(col+cols-1) - first + 1
	return &out, first
}

// TailBytes is the size of a record's scales and offsets.
func (c *Coding) TailBytes() int {
	if c == nil {
		return 0
	}
	n := c.N * c.Scales.Size()
	if c.Offsets {
		n += c.N * 4
	}
	return n
}

// Check reports what is wrong with a Coding of k codes of type d.
func (c *Coding) Check(d tensor.DType, k int) error {
	switch {
	case !d.Coded():
		return fmt.Errorf("codes of type %v", d)
	case c.Scales.Size() == 0 || c.Scales.Coded():
		return fmt.Errorf("scales of type %v", c.Scales)
	case c.Index == nil && (c.Size < 1 || c.Phase < 0 || c.Phase >= c.Size || c.N != c.GroupOf(k-1)+1):
		return fmt.Errorf("%d groups of %d from %d for %d values", c.N, c.Size, c.Phase, k)
	case c.Index != nil && len(c.Index) != k:
		return fmt.Errorf("groups of %d values for %d", len(c.Index), k)
	}
	for i, g := range c.Index {
		if g < 0 || int(g) >= c.N {
			return fmt.Errorf("value %d is in group %d of %d", i, g, c.N)
		}
	}
	return nil
}

// CheckRecord reports what no backend keeps of columns [col, col+cols) of a row: a
// scale and an offset with which a value could be infinite, or a code that is NaN.
func (c *Coding) CheckRecord(record []byte, d tensor.DType, col, cols int) error {
	part, first := c.Columns(col, cols)
	tail, size := record[d.Bytes(cols):], part.Scales.Size()
	for g := range part.N {
		var v [2]float32
		tensor.Widen(v[:1], tail[g*size:], part.Scales)
		if part.Offsets {
			tensor.Widen(v[1:], tail[part.N*size+4*g:], tensor.F32)
		}
		// No code is larger than 448.
		if !(math.Abs(float64(v[0]))*448+math.Abs(float64(v[1])) < math.MaxFloat32) {
			return fmt.Errorf("scale %v, offset %v of group %d", v[0], v[1], first+g)
		}
	}
	if d == tensor.F8 {
		for k, b := range record[:cols] {
			if b&0x7f == 0x7f {
				return fmt.Errorf("element %d is NaN", col+k)
			}
		}
	}
	return nil
}

// Tail reads a record's scales and offsets into [N] each; offsets is not touched
// where there are none.
func (c *Coding) Tail(scales, offsets []float32, tail []byte) {
	tensor.Widen(scales[:c.N], tail, c.Scales)
	if c.Offsets {
		tensor.Widen(offsets[:c.N], tail[c.N*c.Scales.Size():], tensor.F32)
	}
}

// Record writes a row: its codes, one in each byte, the scales and offsets of its
// groups.
func (c *Coding) Record(dst []byte, d tensor.DType, codes []byte, scales, offsets []float32) {
	if d == tensor.U4 || d == tensor.I4 {
		for i := range len(codes) / 2 {
			dst[i] = codes[2*i]&15 | codes[2*i+1]<<4
		}
	} else {
		copy(dst, codes)
	}
	dst = dst[d.Bytes(len(codes)):]
	for _, s := range scales[:c.N] {
		switch c.Scales {
		case tensor.F16:
			binary.LittleEndian.PutUint16(dst, tensor.Float32ToF16(s))
		case tensor.BF16:
			binary.LittleEndian.PutUint16(dst, tensor.Float32ToBF16(s))
		default:
			binary.LittleEndian.PutUint32(dst, math.Float32bits(s))
		}
		dst = dst[c.Scales.Size():]
	}
	if c.Offsets {
		for i, o := range offsets[:c.N] {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(o))
		}
	}
}

// Decode is a row's values from its record.
func (c *Coding) Decode(dst []float32, record []byte, d tensor.DType) {
	scales, offsets := make([]float32, c.N), make([]float32, c.N)
	c.Tail(scales, offsets, record[d.Bytes(len(dst)):])
	tensor.Widen(dst, record, d)
	for k, q := range dst {
		g := c.GroupOf(k)
		dst[k] = float32(scales[g] * q)
		if c.Offsets {
			dst[k] += offsets[g]
		}
	}
}
