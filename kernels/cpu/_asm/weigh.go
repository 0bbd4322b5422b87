package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func attend() {
	for m, p := range strips {
		weigh(m+1, 1)
		if p > 1 {
			weigh(m+1, p)
		}
	}
	for m := 1; m <= 6; m++ {
		score(m)
	}
	scaleMax()
	expSum()
	blend()
}

// weigh writes weigh_<m>x<p>, the tile of variant.weigh for one shape.
func weigh(m, p int) {
	name := fmt.Sprintf("weigh_%dx%d", m, p)
	TEXT(name, NOSPLIT, "func(c *float32, ldc int, a *float32, lda int, v *float32, ldv int, off *int, offs int, n int)")
	Doc(fmt.Sprintf("%s is variant.weigh for m = %d and p = %d, with offs = len(off).", name, m, p),
		"Please refer to weighGo for the reference implementation.")
	Pragma("noescape")
	Comment("The tile of c stays in registers.")
	t := newTile(m, p)
	t.load()
	a := loadRows(m)
	ldv := Load(Param("ldv"), GP64())
	SHLQ(Imm(2), ldv)
	off, offs := Load(Param("off"), GP64()), Load(Param("offs"), GP64())

	TESTQ(offs, offs)
	JZ(LabelRef("done"))
	Label("block")
	v, n := GP64(), GP64()
	MOVQ(Mem{Base: off}, n)
	Load(Param("v"), v)
	LEAQ(Mem{Base: v, Index: n, Scale: 4}, v)
	Load(Param("n"), n)
	keep := keepRows(m, p)
	step := func(i int) {
		Comment(fmt.Sprintf("row + %d", i))
		x := make([]VecVirtual, m)
		if keep {
			for r := range m {
				x[r] = YMM()
				VBROADCASTSS(a.at(r, i), x[r])
			}
		}
		for q := range p {
			var w [2]Op
			for j := range w {
				at := Mem{Base: v, Disp: 64*q + 32*j}
				if m == 1 {
					w[j] = at
					continue
				}
				y := YMM()
				VMOVUPS(at, y)
				w[j] = y
			}
			for r := range m {
				xr := x[r]
				if !keep {
					xr = YMM()
					VBROADCASTSS(a.at(r, i), xr)
				}
				for j := range w {
					VFMADD231PS(w[j], xr, t.acc[r][2*q+j])
				}
			}
		}
		ADDQ(ldv, v)
	}
	steps := func(count int) {
		for i := range count {
			step(i)
		}
		a.advance(count)
	}
	SUBQ(Imm(4), n)
	JL(LabelRef("rest"))
	Label("four")
	steps(4)
	SUBQ(Imm(4), n)
	JGE(LabelRef("four"))
	Label("rest")
	ADDQ(Imm(4), n)
	JZ(LabelRef("next"))
	Label("one")
	steps(1)
	DECQ(n)
	JNZ(LabelRef("one"))
	Label("next")
	ADDQ(Imm(8), off)
	DECQ(offs)
	JNZ(LabelRef("block"))
	Label("done")
	t.store()
	VZEROUPPER()
	RET()
}

// score writes score_<m>, variant.score for one number of rows.
func score(m int) {
	name := fmt.Sprintf("score_%d", m)
	TEXT(name, NOSPLIT, "func(c *float32, ldc int, a *float32, lda int, keys *float32, values *float32, d int)")
	Doc(fmt.Sprintf("%s is variant.score for m = %d and d divisible by 8.", name, m),
		"Please refer to scoreGo for the reference implementation.")
	Pragma("noescape")
	t := newTile(m, 1)
	t.zero()
	a := loadRows(m)
	keys, values, d := ptr("keys"), ptr("values"), ptr("d")
	const unroll = 4
	Label("loop")
	for i := range unroll {
		Comment(fmt.Sprintf("element + %d, and one line of the values", i))
		touch := GP64()
		MOVQ(Mem{Base: values, Disp: 64 * i}, touch)
		lo, hi := YMM(), YMM()
		VMOVUPS(Mem{Base: keys, Disp: 64 * i}, lo)
		VMOVUPS(Mem{Base: keys, Disp: 64*i + 32}, hi)
		for r := range m {
			x := YMM()
			VBROADCASTSS(a.at(r, i), x)
			VFMADD231PS(lo, x, t.acc[r][0])
			VFMADD231PS(hi, x, t.acc[r][1])
		}
	}
	a.advance(unroll)
	for _, p := range []Register{keys, values} {
		ADDQ(U32(64*unroll), p)
	}
	SUBQ(Imm(unroll), d)
	JNZ(LabelRef("loop"))
	t.store()
	VZEROUPPER()
	RET()
}
