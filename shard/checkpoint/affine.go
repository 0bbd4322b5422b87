package checkpoint

import (
	"fmt"
	"math/bits"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// affine is scale·(q - zero) for unsigned integers q of some bits, as codes: the
// float32 nearest to it. Where scales have at most 16 significant bits (F16,
// BF16), scale·q - scale·zero has the same value, each step exact. For scales in
// F32 the difference q - zero is the code.
type affine struct {
	bits   int
	scales tensor.DType
	zeros  bool // groups have zero points of their own; else they are 2^(bits-1)
	d      tensor.DType
}

func newAffine(width int, scales tensor.DType, zeros bool) (affine, error) {
	a := affine{bits: width, scales: scales, zeros: zeros, d: tensor.I8}
	switch {
	case width != 2 && width != 4 && width != 8:
		return a, fmt.Errorf("%d bits a weight; 2, 4 and 8 are supported", width)
	case width == 8 && zeros && scales == tensor.F32:
		return a, fmt.Errorf("8-bit weights with zero points and scales in F32 are not supported")
	case width < 8 && zeros && scales != tensor.F32:
		a.d = tensor.U4
	case width < 8 && !zeros:
		a.d = tensor.I4
	}
	return a, nil
}

// offsets tells whether the coding has them.
func (a affine) offsets() bool { return a.zeros && a.scales != tensor.F32 }

// less is what codes are stored too large by, where no offset says so.
func (a affine) less() int { return 1 << (a.bits - 1) }

// record writes a row: its integers, one in each byte, are replaced by codes.
// zeros [groups] is read where there are any, offsets [groups] is scratch. groupOf
// is the group of a column.
func (a affine) record(dst []byte, c *kernels.Coding, q []byte, scales, offsets []float32, zeros []int) {
	switch {
	case !a.zeros:
		for i := range q {
			q[i] -= byte(a.less())
		}
	case a.scales == tensor.F32:
		for i := range q {
			q[i] -= byte(zeros[c.GroupOf(i)])
		}
	default:
		bias := 0 // a byte that is taken for a signed one is too small by 128
		if a.bits == 8 {
			bias = 128
			for i := range q {
				q[i] -= 128
			}
		}
		for g := range c.N {
			offsets[g] = -(scales[g] * float32(zeros[g]-bias))
		}
	}
	c.Record(dst, a.d, q, scales, offsets)
}

// field is integer i of those packed into a word, the first in the lowest bits.
func field(word uint32, i, width int) byte { return byte(word >> (i * width) & (1<<width - 1)) }

// perWord is how many integers of some bits a word of 32 holds.
func perWord(width int) int { return 32 / width }

// widthOf is the bits of n integers in so many words; 0 if that is no power of two.
func widthOf(n, words int) int {
	if n == 0 || words == 0 || words*32%n != 0 || bits.OnesCount(uint(words*32/n)) != 1 {
		return 0
	}
	return words * 32 / n
}
