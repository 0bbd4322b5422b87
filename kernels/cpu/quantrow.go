package cpu

import (
	"encoding/binary"
	"math"

	"github.com/sullae/sullae/kernels"
)

// quantRows are rows of activations as a product with a quantized matrix takes
// them (reference.QuantizeRow), in tiles of variant.tileRows rows:
//
//	[tile][group]{ quants [tileRows][32] int8, scale [tileRows] f32, bias [tileRows] i32 }
//
// or, wide, of each 32 quants the even ones and then the odd ones, as int16; so that a tile of a product reads them front to back. A bias is minus the sum
// of the group's quants times what the weights' integers are kept too large by.
type quantRows struct {
	mem      []byte
	tileRows int
	wide     bool
	groups   int // of a row, over all leaves
}

// quantBytes is the size of one row's quants in a group.
func quantBytes(wide bool) int {
	if wide {
		return 2 * kernels.Group
	}
	return kernels.Group
}

// tileStride is the distance between the groups of a tile.
func tileStride(tileRows int, wide bool) int { return tileRows * (quantBytes(wide) + 8) }

func (q *quantRows) stride() int { return tileStride(q.tileRows, q.wide) }

// at is the tile with row r, which must be its first, from group g on.
func (q *quantRows) at(r, g int) []byte {
	return q.mem[(r/q.tileRows*q.groups+g)*q.stride():]
}

// quantOffset is what a format's integers are kept too large by: 4-bit ones
// always, 8-bit ones where an instruction wants them unsigned.
func quantOffset(f kernels.Format) int32 {
	if f == kernels.Q4 {
		return 8
	}
	return 128
}

// quantizeRows quantizes x [rows, K] for w, each row once norm has made it, if there
// is one.
func (b *Backend) quantizeRows(x []float32, rows int, w *weight, norm *normRows) *quantRows {
	q := &b.rows
	q.tileRows, q.groups = b.v.tileRows, w.groupOf[len(w.leaves)-1]
	q.wide = b.v.wide8 && w.spec.Format == kernels.Q8 && rows > 1
	tiles := (rows + q.tileRows - 1) / q.tileRows
	q.mem = grow(q.mem, tiles*q.groups*q.stride())
	k := w.spec.K
	b.pool.run(tiles, rowGrain(4*q.tileRows*k), func(worker, lo, hi int) {
		for r := lo * q.tileRows; r < min(hi*q.tileRows, rows); r++ {
			if norm != nil {
				norm.row(&b.threads[worker], r)
			}
			q.quantize(b.v, x[r*k:(r+1)*k], r, w)
		}
	})
	return q
}

func (q *quantRows) quantize(v *variant, x []float32, r int, w *weight) {
	tile, slot, offset := q.at(r/q.tileRows*q.tileRows, 0), r%q.tileRows, quantOffset(w.spec.Format)
	if w.wholeGroups {
		v.quantize(tile, q.tileRows, q.wide, slot, x, offset)
		return
	}
	for i, g := range w.groupOf[:len(w.leaves)-1] {
		leaf := x[w.leaves[i]:w.leaves[i+1]]
		whole := len(leaf) / kernels.Group
		v.quantize(tile[g*q.stride():], q.tileRows, q.wide, slot, leaf[:whole*kernels.Group], offset)
		if rest := leaf[whole*kernels.Group:]; len(rest) > 0 {
			var last [kernels.Group]float32
			copy(last[:], rest)
			v.quantize(tile[(g+whole)*q.stride():], q.tileRows, q.wide, slot, last[:], offset)
		}
	}
}

// leastQuantized is the magnitude below which a group is zero: its reciprocal
// would not be finite.
const leastQuantized = 0x1p-100

func quantizeGo(tile []byte, tileRows int, wide bool, slot int, x []float32, offset int32) {
	for ; len(x) > 0; x = x[kernels.Group:] {
		g := x[:kernels.Group]
		scale, inv := quantScale(g)
		quants := tile[slot*quantBytes(wide):][:quantBytes(wide)]
		sum := int32(0)
		for i, v := range g {
			var n int32
			if inv != 0 {
				n = roundInt(float32(v * inv))
			}
			sum += n
			if wide {
				// Of four, 0 and 2 are a word of the first half, 1 and 3 one of the second.
				binary.LittleEndian.PutUint16(quants[i%2*kernels.Group+i/4*4+i%4/2*2:], uint16(n))
			} else {
				quants[i] = byte(n)
			}
		}
		binary.LittleEndian.PutUint32(tile[tileRows*quantBytes(wide)+4*slot:], math.Float32bits(scale))
		binary.LittleEndian.PutUint32(tile[tileRows*(quantBytes(wide)+4)+4*slot:], uint32(-offset*sum))
		if len(x) > kernels.Group {
			tile = tile[tileStride(tileRows, wide):]
		}
	}
}

// quantScale is the scale of values that share one, and what they are multiplied
// by before they are rounded. NaN or an infinity among them makes the scale NaN.
func quantScale(x []float32) (scale, inv float32) {
	top := uint32(0) // bits order as magnitudes do, NaN above all
	for _, v := range x {
		top = max(top, math.Float32bits(v)&0x7fffffff)
	}
	switch m := math.Float32frombits(top); {
	case top >= 0x7f800000:
		return float32(math.NaN()), 0
	case m >= leastQuantized:
		return m * (1.0 / 127), 127 / m
	}
	return 0, 0
}

// roundInt rounds to the nearest integer, ties to even, where |v| < 2^22.
func roundInt(v float32) int32 {
	return int32(math.Float32bits(v+roundMagic) - roundMagicBits)
}
