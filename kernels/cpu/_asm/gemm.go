package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// strips is how many 16-wide strips a tile of 1, 2 ... 6 rows has: what fits 16
// registers and hides the latency of a multiply-add, which takes eight or more
// accumulators.
var strips = []int{4, 2, 2, 1, 1, 1}

func matmul() {
	for _, d := range []string{"F32", "BF16", "F16"} {
		for m, p := range strips {
			gemm(d, m+1, p)
		}
	}
}

// isa is a width of vectors.
type isa struct {
	suffix   string // of the functions' names
	vec      func() VecVirtual
	bytes    int // of a vector
	perStrip int // vectors that hold 16 float32
	strips   []int
}

var (
	avx2   = isa{"", YMM, 32, 2, strips}
	avx512 = isa{"_512", ZMM, 64, 1, strips512}
)

// tile is the accumulators of m rows by p strips, and where they stand.
type tile struct {
	isa
	m, p int
	acc  [][]VecVirtual // [m][perStrip·p]
	c    Register
	ldc  Register
}

// newTile reads where the tile stands.
func newTile(w isa, m, p int) tile {
	t := accumulators(w, m, p)
	t.locate()
	return t
}

// locate reads c and ldc (in elements).
func (t *tile) locate() {
	t.c, t.ldc = Load(Param("c"), GP64()), Load(Param("ldc"), GP64())
	SHLQ(Imm(2), t.ldc)
}

// accumulators is a tile that stands nowhere yet.
func accumulators(w isa, m, p int) tile {
	t := tile{isa: w, m: m, p: p, acc: make([][]VecVirtual, m)}
	for r := range t.acc {
		for range w.perStrip * p {
			t.acc[r] = append(t.acc[r], w.vec())
		}
	}
	return t
}

func (t tile) load() {
	t.each(func(r, v int, at Mem) { VMOVUPS(at, t.acc[r][v]) })
}

func (t tile) zero() {
	for _, row := range t.acc {
		for _, y := range row {
			if t.perStrip == 1 { // VXORPS of 512 bits is AVX512DQ's
				VPXORD(y, y, y)
			} else {
				VXORPS(y, y, y)
			}
		}
	}
}

func (t tile) store() {
	t.each(func(r, v int, at Mem) { VMOVUPS(t.acc[r][v], at) })
}

func (t tile) each(f func(r, v int, at Mem)) {
	row := GP64()
	MOVQ(t.c, row)
	for r := range t.m {
		for v := range t.perStrip * t.p {
			f(r, v, Mem{Base: row, Disp: t.bytes * v})
		}
		if r+1 < t.m {
			ADDQ(t.ldc, row)
		}
	}
}

// rows addresses up to six rows of a matrix with two pointers and the stride.
type rows struct {
	first, third Register // rows 0 and 3
	stride       Register
}

func loadRows(m int) rows {
	a := rows{first: Load(Param("a"), GP64()), stride: Load(Param("lda"), GP64())}
	SHLQ(Imm(2), a.stride)
	if m > 3 {
		a.third = GP64()
		LEAQ(Mem{Base: a.first, Index: a.stride, Scale: 2}, a.third)
		ADDQ(a.stride, a.third)
	}
	return a
}

// at is element i (from the pointers' place) of row r.
func (a rows) at(r, i int) Mem {
	m := Mem{Base: a.first, Disp: 4 * i}
	if r >= 3 {
		m.Base, r = a.third, r-3
	}
	if r > 0 {
		m.Index, m.Scale = a.stride, uint8(r)
	}
	return m
}

func (a rows) advance(n int) {
	ADDQ(U32(4*n), a.first)
	if a.third != nil {
		ADDQ(U32(4*n), a.third)
	}
}

// lineStep is the distance between two lines of a strip.
const lineStep = 4 * 64

// gemm writes gemm<type>_<m>x<p>, the tile of variant.gemm for one shape.
func gemm(dtype string, m, p int) {
	TEXT(fmt.Sprintf("gemm%s_%dx%d", dtype, m, p), NOSPLIT, "func(c *float32, ldc int, a *float32, lda int, b *byte, k int, ahead int)")
	Doc(fmt.Sprintf("gemm%s_%dx%d is variant.gemm for m = %d, p = %d and %s weights, k >= 1.", dtype, m, p, m, p, dtype),
		"Please refer to gemmGo for the reference implementation.")
	Pragma("noescape")
	Comment("The tile of c stays in registers.")
	t := newTile(avx2, m, p)
	t.load()
	a, b, k, ahead := loadRows(m), Load(Param("b"), GP64()), Load(Param("k"), GP64()), Load(Param("ahead"), GP64())
	var mask VecVirtual
	if dtype == "BF16" {
		mask = YMM()
		Comment("0xffff0000 in every lane")
		VPCMPEQD(mask, mask, mask)
		VPSLLD(Imm(16), mask, mask)
	}
	keep := keepRows(m, p)
	perLine := 2
	if dtype == "F32" {
		perLine = 1
	}
	step := func(i int) {
		Comment(fmt.Sprintf("k + %d", i))
		x := make([]VecVirtual, m)
		if keep {
			for r := range m {
				x[r] = YMM()
				VBROADCASTSS(a.at(r, i), x[r])
			}
		}
		for q := range p {
			at := Mem{Base: b, Disp: i/perLine*lineStep + q*64 + i%perLine*32}
			if i%perLine == 0 {
				fetchLine(at, ahead, m)
			}
			w := widen(dtype, at, mask, m > 1)
			for r := range m {
				xr := x[r]
				if !keep {
					xr = YMM()
					VBROADCASTSS(a.at(r, i), xr)
				}
				for v := range w {
					VFMADD231PS(w[v], xr, t.acc[r][2*q+v])
				}
			}
		}
	}
	steps := func(n int) {
		for i := range n {
			step(i)
		}
		a.advance(n)
		ADDQ(U32(n/perLine*lineStep), b)
	}
	fours(k, steps)
	odd(k, steps, func() { step(0) })
	t.store()
	VZEROUPPER()
	RET()
}

// fetchLine hints at a later line of weights, as far ahead as the caller says; one
// row reads a panel as one stream.
func fetchLine(at Mem, ahead Register, m int) {
	if m == 1 {
		at.Disp += streamAhead
		PREFETCHT0(at)
		return
	}
	at.Index, at.Scale = ahead, 1
	PREFETCHT1(at)
}

// widen reads 16 weights as two vectors of float32.
func widen(dtype string, at Mem, mask VecVirtual, load bool) [2]Op {
	next := at
	if dtype == "F32" && !load {
		next.Disp += 32
		return [2]Op{at, next}
	}
	lo, hi := YMM(), YMM()
	switch dtype {
	case "F32":
		next.Disp += 32
		VMOVUPS(at, lo)
		VMOVUPS(next, hi)
	case "BF16":
		VMOVDQU(at, lo)
		VPAND(lo, mask, hi)
		VPSLLD(Imm(16), lo, lo)
	case "F16":
		next.Disp += 16
		VCVTPH2PS(at, lo)
		VCVTPH2PS(next, hi)
	}
	return [2]Op{lo, hi}
}

// keepRows tells whether the rows' elements can stay in registers while the
// panels pass: beside the tile, two weights and a mask, AVX2 has 16 registers.
func keepRows(m, p int) bool { return p > 1 && m*2*p+m+3 <= 16 }

// fours has steps carry out k steps along K, four at a time; of k it leaves 4 less than
// the steps that are left, which bits 0 and 1 do not show.
func fours(k Op, steps func(n int)) {
	SUBQ(Imm(4), k)
	JL(LabelRef("rest"))
	Label("four")
	steps(4)
	SUBQ(Imm(4), k)
	JGE(LabelRef("four"))
	Label("rest")
}

// odd carries out what fours left.
func odd(k Op, steps func(n int), last func()) {
	Comment("k is 4 less than what is left, which bits 0 and 1 do not show")
	TESTQ(U32(2), k)
	JZ(LabelRef("odd"))
	steps(2)
	Label("odd")
	TESTQ(U32(1), k)
	JZ(LabelRef("end"))
	last()
	Label("end")
}
