package cpu

import (
	"fmt"
	"os"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// variant is the set of inner loops for one instruction set. All variants give
// the same bits. No dst overlaps an input but where it is the same slice.
type variant struct {
	name string

	// strips[m] is the number of 16-wide strips that a tile of m rows has in gemm
	// and may have in weigh: as many as there are registers for.
	strips *[maxTileRows + 1]int

	// gemm adds to a tile of m rows and 16·p outputs:
	//
	//	c[r·ldc + 16·q + j] = fma(a[r·lda + i], w_q[i, j], ·) for i ascending
	//
	// for r < m, q < p, j < 16, i < k. b begins at the first strip's weights in a
	// panel of type d (pack.go), at an even place along K unless k is 1. m is 1
	// to 6; p is strips[m]. ahead is a hint: the lines that far behind those
	// read are wanted next.
	gemm func(d tensor.DType, c []float32, ldc int, a []float32, lda int, b []byte, m, p, k, ahead int)

	// gemmLeaves, where it is not nil, sums leaves of k values each, k even, for a tile of m
	// rows and a panel's 64 outputs; b begins at the first one's weights, at an even place
	// along K. c is a stack of sums of subtrees, size apart, of a node's first leaves done
	// before; each leaf's sums are from zero as gemm's, and then carried as the binary
	// counter carries: left subtree + right subtree (matmul.sums).
	gemmLeaves func(d tensor.DType, c []float32, size, ldc int, a []float32, lda int, b []byte, m, k, leaves, first, ahead int)

	// fold adds the last of 1+folds subtrees of a stack, size apart, to the one before it,
	// that to the one before, and so on: left + right. size is a multiple of 64, folds not 0.
	fold func(c []float32, size, folds int)

	// quantGemm adds to a tile of m rows and a panel's 64 outputs the products of
	// quantized rows and weights: for each group in order
	//
	//	c[r·ldc + j] = fma(dot, weight's scale · row's scale, ·)
	//
	// with dot the exact sum of the 32 products of integers, as a float32. x is a
	// tile of quantRows with its first group, w a panel from the same group on
	// (quantweight.go). wide tells that the rows are. ahead is a hint, as gemm's.
	quantGemm quantGemmFunc

	// quantTall is quantGemm for whole tiles of x, one after the other, that are
	// tallTiles or more; nil where it would be no faster. Each tile has all groups
	// of a row, rowGroups, of which groups are done. scratch has room for as many
	// unpacked groups of w.
	quantTall func(f kernels.Format, c []float32, ldc int, x []byte, rowGroups int, w, scratch []byte, tiles, groups int)

	// wide8 asks for wide rows with 8-bit weights, where they are more than one.
	wide8 bool
	// tileRows rows are a tile of quantRows, and the most that quantGemm takes.
	tileRows int

	// quantize writes the groups of x, whole ones, as slot's of a tile of quantRows.
	quantize func(tile []byte, tileRows int, wide bool, slot int, x []float32, offset int32)

	// packQuant quantizes whole groups of a row of values of type d, F32, BF16 or F16,
	// as output j of the groups of a panel. It returns how many it did: all, or those
	// before one whose scale no binary16 can hold.
	packQuant func(f kernels.Format, d tensor.DType, panel, row []byte, j, groups int) int

	// decode fills dst with len(rowOf) values of K of a coded panel, as a panel of
	// float32: scales[rowOf[k] + j]·code + offsets[rowOf[k] + j], product and sum
	// each rounded, the product alone where there are no offsets. codes are whole
	// lines (coded.go); dst has room for as many.
	decode func(d tensor.DType, dst []float32, codes []byte, scales, offsets []float32, rowOf []int32)

	// codedRow adds to 64 values of c the products of one row with len(rowOf) values
	// of K of a coded panel: c[j] = fma(x[k], the value that decode gives, ·) for k
	// ascending.
	codedRow func(d tensor.DType, c, x []float32, codes []byte, scales, offsets []float32, rowOf []int32)

	// widenHalves converts len(dst) binary16 numbers, a multiple of 8.
	widenHalves func(dst []float32, src []byte)

	// weigh adds rows of v, elements of type t, each times a factor, to m rows of c,
	// 16·p wide:
	//
	//	c[r·ldc + j] = fma(a[r·lda + s·n + i], v[off[s] + i·ldv + j], ·)
	//
	// for s < len(off) ascending and i < n ascending. m is 1 to 6; p is at most
	// strips[m]. off and ldv count elements.
	weigh func(t kernels.KVType, c []float32, ldc int, a []float32, lda int, v []byte, ldv int, off []int, m, p, n int)

	// score sets m rows of c to the products of m queries with 16 keys of type t
	// for each place in off:
	//
	//	c[r·ldc + 16·s + j] = fma(a[r·lda + i], keys[off[s] + i·16 + j], ·) from zero for i ascending
	//
	// for i < d. m is 1 to 6, d a multiple of 8. The 16·d elements of next from
	// each nextOff on are wanted soon, and read into the cache: two streams that the
	// CPU fetches ahead by itself, where prefetches would wait for too few buffers.
	// ends is memory to work in.
	score func(t kernels.KVType, c []float32, ldc int, a []float32, lda int, keys []byte, off []int, next []byte, nextOff []int, m, d int, ends *scoreEnds)

	// scaleMax multiplies s by f in place and returns the maximum of the
	// products, -Inf if there is none but NaN. len(s) is a multiple of 8. The
	// sign of a maximum of zero is that of one fixed order.
	scaleMax func(s []float32, f float32) float32

	// expSum: dst[i] = exp(src[i] - shift), and sum[i mod 8] += dst[i]. dst may be src.
	// len(src) is a multiple of 8.
	expSum func(dst, src []float32, shift float32, sum *[8]float64)

	// softmaxRows, where it is not nil, is softmax of n values of each of rows rows, which
	// begin stride apart: the maxima and the sums.
	softmaxRows func(x []float32, stride, rows, n int, scale float32, out [][2]float32)

	// blend: dst[i] = dst[i]·a + src[i]·b, each operation rounded.
	blend func(dst, src []float32, a, b float32)

	// siluMul: dst[i] = gate[i] / (1 + exp(-gate[i])) · up[i]. dst may be gate.
	siluMul func(dst, gate, up []float32)

	// geluMul: dst[i] = gate[i] / (1 + exp(t)) · up[i], t as gelu32 says. dst may be gate.
	geluMul func(dst, gate, up []float32)

	// softCap: x[i] = limit · tanh(x[i]·f / limit), each operation rounded.
	softCap func(x []float32, f, limit float32)

	// add: dst[i] = x[i] + y[i]. dst may be x or y.
	add func(dst, x, y []float32)

	// sumSquares: sum[i mod 16] += x[i]². len(x) is a multiple of 16.
	sumSquares func(x []float32, sum *[16]float64)

	// mulScaled: dst[i] = (x[i]·f)·w[i]. dst may be x.
	mulScaled func(dst, x, w []float32, f float32)

	// rotate: (a[i], b[i]) = (a[i]·cos[i] - b[i]·sin[i], b[i]·cos[i] + a[i]·sin[i]),
	// each operation rounded.
	rotate func(a, b, cos, sin []float32)
}

// scoreEnds are where the tiles of one call of the assembly's score begin.
type scoreEnds struct{ key, touch [keyStreams]*byte }

// keyStreams tiles of keys at most are done at a time.
const keyStreams = 4

type quantGemmFunc func(f kernels.Format, c []float32, ldc int, wide bool, x, w []byte, m, groups, ahead int)

// strips256 is variant.strips for 16 registers of 256 bits.
var strips256 = [maxTileRows + 1]int{0, 4, 2, 2, 1, 1, 1}

const maxTileRows = 6

// selectVariant finds a variant by name; "" takes SULLAE_CPU_VARIANT from the
// environment or else the best that this CPU runs.
func selectVariant(name string) (*variant, error) {
	if name == "" {
		name = os.Getenv("SULLAE_CPU_VARIANT")
	}
	list := variants()
	if name == "" {
		return list[0], nil
	}
	for _, v := range list {
		if v.name == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("cpu: variant %q is unknown or does not run on this machine", name)
}
