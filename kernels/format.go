package kernels

import "fmt"

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
