package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// shapes are the tiles, rows by 16-wide panels, that fit 16 registers and hide
// the latency of a multiply-add: eight or more accumulators, but for the
// smallest, which serve what is left over.
var shapes = []struct{ m, p int }{{1, 1}, {1, 4}, {2, 1}, {2, 2}, {3, 1}, {3, 2}, {4, 1}, {5, 1}, {6, 1}}

func matmul() {
	for _, d := range []string{"F32", "BF16", "F16"} {
		for _, s := range shapes {
			gemm(d, s.m, s.p)
		}
	}
}

// tile is the accumulators of m rows by 2p vectors, and where they stand.
type tile struct {
	m, p int
	acc  [][]VecVirtual // [m][2p]
	c    Register
	ldc  Register
}

// load reads c, ldc (in elements) and the tile itself.
func loadTile(m, p int) tile {
	t := tile{m: m, p: p, c: Load(Param("c"), GP64()), ldc: Load(Param("ldc"), GP64())}
	SHLQ(Imm(2), t.ldc)
	t.acc = make([][]VecVirtual, m)
	t.each(func(r, v int, at Mem) {
		y := YMM()
		VMOVUPS(at, y)
		t.acc[r] = append(t.acc[r], y)
	})
	return t
}

func (t tile) store() {
	t.each(func(r, v int, at Mem) { VMOVUPS(t.acc[r][v], at) })
}

func (t tile) each(f func(r, v int, at Mem)) {
	row := GP64()
	MOVQ(t.c, row)
	for r := range t.m {
		for v := range 2 * t.p {
			f(r, v, Mem{Base: row, Disp: 32 * v})
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

// panels addresses up to four panels of weights with two pointers and the stride.
type panels struct {
	first, third Register // panels 0 and 3
	stride       Register
}

func (b panels) at(q, disp int) Mem {
	m := Mem{Base: b.first, Disp: disp}
	if q == 3 {
		m.Base = b.third
	} else if q > 0 {
		m.Index, m.Scale = b.stride, uint8(q)
	}
	return m
}

func (b panels) advance(n int) {
	ADDQ(U32(n), b.first)
	if b.third != nil {
		ADDQ(U32(n), b.third)
	}
}

func loadPanels(p int) panels {
	b := panels{first: Load(Param("b"), GP64())}
	if p > 1 {
		b.stride = Load(Param("ps"), GP64())
	}
	if p > 3 {
		b.third = GP64()
		LEAQ(Mem{Base: b.first, Index: b.stride, Scale: 2}, b.third)
		ADDQ(b.stride, b.third)
	}
	return b
}

// gemm writes gemm<type>_<m>x<p>, the tile of variant.gemm for one shape.
func gemm(dtype string, m, p int) {
	name := fmt.Sprintf("gemm%s_%dx%d", dtype, m, p)
	TEXT(name, NOSPLIT, "func(c *float32, ldc int, a *float32, lda int, b *byte, ps int, k int)")
	Doc(fmt.Sprintf("%s is variant.gemm for m = %d, p = %d and %s weights.", name, m, p, dtype),
		"Please refer to gemmGo for the reference implementation.")
	Pragma("noescape")
	Comment("The tile of c stays in registers.")
	t := loadTile(m, p)
	a, b := loadRows(m), loadPanels(p)
	k := Load(Param("k"), GP64())
	size := 2
	if dtype == "F32" {
		size = 4
	}
	var mask VecVirtual
	if dtype == "BF16" {
		mask = YMM()
		Comment("0xffff0000 in every lane")
		VPCMPEQD(mask, mask, mask)
		VPSLLD(Imm(16), mask, mask)
	}

	keep := keepRows(m, p)
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
			at := func(v int) Mem { return b.at(q, (i*16+8*v)*size) }
			var w [2]Op
			switch dtype {
			case "F32":
				if m == 1 {
					w = [2]Op{at(0), at(1)}
					break
				}
				for v := range w {
					y := YMM()
					VMOVUPS(at(v), y)
					w[v] = y
				}
			case "BF16":
				lo, hi := YMM(), YMM()
				VMOVDQU(at(0), lo)
				VPAND(lo, mask, hi)
				VPSLLD(Imm(16), lo, lo)
				w = [2]Op{lo, hi}
			case "F16":
				for v := range w {
					y := YMM()
					VCVTPH2PS(at(v), y)
					w[v] = y
				}
			}
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
	loop(k, 4, func(n int) {
		for i := range n {
			step(i)
		}
		a.advance(n)
		b.advance(n * 16 * size)
	})
	t.store()
	VZEROUPPER()
	RET()
}

var labels int

// loop runs body(unroll) while count allows it, then body(1).
func loop(count Register, unroll int, body func(n int)) {
	labels++
	many, one, end := fmt.Sprintf("many%d", labels), fmt.Sprintf("one%d", labels), fmt.Sprintf("end%d", labels)
	SUBQ(Imm(uint64(unroll)), count)
	JL(LabelRef(one))
	Label(many)
	body(unroll)
	SUBQ(Imm(uint64(unroll)), count)
	JGE(LabelRef(many))
	Label(one)
	ADDQ(Imm(uint64(unroll)), count)
	JZ(LabelRef(end))
	Label(one + "Next")
	body(1)
	DECQ(count)
	JNZ(LabelRef(one + "Next"))
	Label(end)
}

// keepRows tells whether the rows' elements can stay in registers while the
// panels pass: beside the tile, two weights and a mask, AVX2 has 16 registers.
func keepRows(m, p int) bool { return p > 1 && m*2*p+m+3 <= 16 }
