package main

import (
	"fmt"
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// keyStreams is how many tiles of keys score may take at a time: several streams of
// memory, and enough sums to hide a multiply-add's latency for one row.
const keyStreams = 4

// kvSize is the size of an element of keys and values.
var kvSize = map[string]int{"F32": 4, "BF16": 2, "F16": 2, "Q8": 1}

func attend(w isa) {
	for _, kv := range []string{"F32", "BF16", "F16", "Q8"} {
		for m, most := range w.strips {
			for p := 1; p <= most; p *= 2 {
				weigh(w, kv, m+1, p)
			}
		}
		tiles := 1 // side by side
		if w.perStrip == 1 {
			tiles = keyStreams
		}
		for m := 1; m <= 6; m++ {
			for n := 1; n <= tiles; n *= 2 {
				score(w, kv, m, n)
			}
		}
	}
}

// kvLoad widens a vector of keys or values.
func kvLoad(w isa, kv string, at Mem) VecVirtual {
	y := w.vec()
	switch kv {
	case "F32":
		VMOVUPS(at, y)
	case "BF16":
		VPMOVZXWD(at, y)
		VPSLLD(Imm(16), y, y)
	case "F16":
		VCVTPH2PS(at, y)
	case "Q8":
		VPMOVSXBD(at, y)
		VCVTDQ2PS(y, y)
	}
	return y
}

// weigh writes weigh<type>_<m>x<p>, the tile of variant.weigh for one shape.
func weigh(w isa, kv string, m, p int) {
	size := kvSize[kv]
	name := fmt.Sprintf("weigh%s_%dx%d%s", kv, m, p, w.suffix)
	TEXT(name, NOSPLIT, "func(c *float32, ldc int, a *float32, lda int, v *byte, ldv int, off *int, offs int, n int)")
	Doc(fmt.Sprintf("%s is variant.weigh for %s, m = %d and p = %d, with offs = len(off).", name, kv, m, p),
		"Please refer to weighGo for the reference implementation.")
	Pragma("noescape")
	Comment("The tile of c stays in registers.")
	t := newTile(w, m, p)
	t.load()
	a := loadRows(m)
	ldv := Load(Param("ldv"), GP64())
	if size > 1 {
		SHLQ(Imm(uint64(bits.Len(uint(size))-1)), ldv)
	}
	off, offs := Load(Param("off"), GP64()), Load(Param("offs"), GP64())

	TESTQ(offs, offs)
	JZ(LabelRef("done"))
	Label("block")
	v, n := GP64(), GP64()
	MOVQ(Mem{Base: off}, n)
	Load(Param("v"), v)
	LEAQ(Mem{Base: v, Index: n, Scale: uint8(size)}, v)
	Load(Param("n"), n)
	keep := w.perStrip == 1 || keepRows(m, p)
	step := func(i int) {
		Comment(fmt.Sprintf("row + %d", i))
		x := make([]VecVirtual, m)
		broadcast := func(r int) {
			x[r] = w.vec()
			VBROADCASTSS(a.at(r, i), x[r])
		}
		if keep {
			for r := range m {
				broadcast(r)
			}
		}
		for q := range p {
			row := make([]Op, w.perStrip)
			for j := range row {
				at := Mem{Base: v, Disp: size * (16*q + w.bytes/4*j)}
				if m == 1 && kv == "F32" {
					row[j] = at
				} else {
					row[j] = kvLoad(w, kv, at)
				}
			}
			for r := range m {
				if !keep {
					broadcast(r)
				}
				for j := range row {
					VFMADD231PS(row[j], x[r], t.acc[r][w.perStrip*q+j])
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
	unroll := 4
	if m*p*w.perStrip > 8 {
		unroll = 2
	}
	SUBQ(U32(uint32(unroll)), n)
	JL(LabelRef("rest"))
	Label("loop")
	steps(unroll)
	SUBQ(U32(uint32(unroll)), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(U32(uint32(unroll)), n)
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

// score writes score<type>_<m>x<n>, variant.score for one number of rows and n
// tiles of keys at a time.
func score(w isa, kv string, m, n int) {
	name := fmt.Sprintf("score%s_%dx%d%s", kv, m, n, w.suffix)
	TEXT(name, NOSPLIT, fmt.Sprintf("func(c *float32, ldc int, a *float32, lda int, keys, touch *[%d]*byte, d int)", keyStreams))
	Doc(fmt.Sprintf("%s is variant.score for %s, m = %d, %d tiles and d divisible by 8.", name, kv, m, n),
		"Please refer to scoreGo for the reference implementation.")
	Pragma("noescape")
	t := accumulators(w, m, n) // c is wanted at the end alone: all registers are taken
	t.zero()
	a := loadRows(m)
	pointers := func(name string) (to [keyStreams]Register) {
		list := ptr(name)
		for i := range n {
			to[i] = GP64()
			MOVQ(Mem{Base: list, Disp: 8 * i}, to[i])
		}
		return to
	}
	keys, touch := pointers("keys"), pointers("touch")
	at := GP64() // of the elements that come next, from each pointer on
	XORQ(at, at)
	d := ptr("d")
	const unroll = 4
	step := 16 * kvSize[kv] // bytes of one element of a tile
	Label("loop")
	for i := range unroll {
		Comment(fmt.Sprintf("element + %d", i))
		var key [keyStreams][]VecVirtual
		for q := range n {
			if i*step%64 == 0 {
				line := GP64()
				MOVQ(Mem{Base: touch[q], Index: at, Scale: 1, Disp: i * step}, line)
			}
			for j := range w.perStrip {
				key[q] = append(key[q], kvLoad(w, kv, Mem{Base: keys[q], Index: at, Scale: 1, Disp: i*step + j*step/2}))
			}
		}
		for r := range m {
			x := w.vec()
			VBROADCASTSS(a.at(r, i), x)
			for q := range n {
				for j, y := range key[q] {
					VFMADD231PS(y, x, t.acc[r][w.perStrip*q+j])
				}
			}
		}
	}
	a.advance(unroll)
	ADDQ(U32(uint32(step*unroll)), at)
	SUBQ(Imm(unroll), d)
	JNZ(LabelRef("loop"))
	t.locate()
	t.store()
	VZEROUPPER()
	RET()
}
