package kernels

import (
	"fmt"
	"math"

	"github.com/sullae/sullae/kernels/tensor"
)

// Format is how a matrix is kept. A quantized matrix is made of the stored
// values when it is packed; package reference says to the bit how
// (QuantizeWeights). Its product rounds the other operand to 8 bits too
// (QuantizeRow), takes the integer products of each group exactly, and scales
// groups one after the other along K.
//
// A group is Group values along K. Groups begin where a leaf begins, and a
// leaf's last group may be shorter, so that no group is ever cut by a share:
// any number of ranks sums the same groups. Models of a useful size have leaves
// that are multiples of Group; the others pay for what is missing in memory.
type Format uint8

// Formats.
const (
	AsStored Format = iota // in WeightSpec.DType
	Q8                     // 8-bit integers and a binary16 scale: 8.5 bits a value
	Q4                     // 4-bit integers and a binary16 scale: 4.5 bits a value
)

// Group is the number of values along K that share a scale.
const Group = 32

// Groups is the number of groups of a leaf of n values.
func Groups(n int) int { return (n + Group - 1) / Group }

// GroupBytes is the size of a group of one output; 0 for AsStored.
func (f Format) GroupBytes() int {
	switch f {
	case Q8:
		return Group + 2
	case Q4:
		return Group/2 + 2
	}
	return 0
}

var formatNames = []string{AsStored: "none", Q8: "q8", Q4: "q4"}

// String is the format's name on a command line.
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// ParseFormat reads a format's name; "" is AsStored.
func ParseFormat(s string) (Format, error) {
	if s == "" {
		return AsStored, nil
	}
	for f, name := range formatNames {
		if name == s {
			return Format(f), nil
		}
	}
	return 0, fmt.Errorf("quantization %q is not known; known: none, q8, q4", s)
}

// QuantizeGroup is package reference's QuantizeWeights for one group: the integers,
// a byte each, four to a word in order, zeros after the last, and the binary16
// scale. w has at most Group finite values.
func QuantizeGroup(q *[Group / 4]uint32, w []float32, f Format) (scale uint16, err error) {
	size := uint32(0) // of the largest magnitude, as bits: they order as the values do
	for _, v := range w {
		size = max(size, math.Float32bits(v)&0x7fffffff)
	}
	s, least, most := math.Float32frombits(size)/127, int32(-127), int32(127)
	if f == Q4 {
		least, most = -8, 7
		for _, v := range w {
			if math.Float32bits(v)&0x7fffffff == size {
				s = v / -8
				break
			}
		}
	}
	scale = tensor.Float32ToF16(s)
	if scale&0x7c00 == 0x7c00 {
		return 0, fmt.Errorf("a weight of size %v is too large to be quantized", math.Float32frombits(size))
	}
	inv := float32(0)
	if s := tensor.HalfToFloat32(scale); s != 0 {
		inv = 1 / s // which is at most twice what the scale was before it was rounded
	}
	// Adding 1.5·2^23 rounds to a whole number, in the low bits.
	const roundMagic, roundMagicBits = 3 << 22, 0x4b400000
	*q = [Group / 4]uint32{}
	for i, v := range w {
		n := min(max(int32(math.Float32bits(float32(v*inv)+roundMagic)-roundMagicBits), least), most)
		q[i/4] |= uint32(n&0xff) << (i % 4 * 8)
	}
	return scale, nil
}
