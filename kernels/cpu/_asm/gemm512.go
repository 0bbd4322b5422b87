package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// strips512 is strips for 32 registers of 512 bits: a whole panel for any rows.
var strips512 = []int{4, 4, 4, 4, 4, 4}

func matmul512() {
	fmaProbe512()
	fold512()
	for _, d := range []string{"F32", "BF16", "F16"} {
		for m, p := range strips512 {
			gemm512(d, m+1, p)
			gemmLeaves512(d, m+1)
		}
	}
}

// gemm512 writes gemm<type>_<m>x4_512, the tile of variant.gemm for m rows and a
// whole panel. A strip is one register.
func gemm512(dtype string, m, p int) {
	name := fmt.Sprintf("gemm%s_%dx%d%s", dtype, m, p, avx512.suffix)
	TEXT(name, NOSPLIT, "func(c *float32, ldc int, a *float32, lda int, b *byte, k int, ahead int)")
	Doc(fmt.Sprintf("%s is variant.gemm for m = %d, p = %d and %s weights, k >= 1.", name, m, p, dtype),
		"Please refer to gemmGo for the reference implementation.")
	Pragma("noescape")
	Comment("The tile of c stays in registers.")
	t := newTile(avx512, m, p)
	t.load()
	a, b, k, ahead := loadRows(m), Load(Param("b"), GP64()), Load(Param("k"), GP64()), Load(Param("ahead"), GP64())
	steps, last := t.steps512(dtype, a, b, ahead)
	fours(k, steps)
	odd(k, steps, last)
	t.store()
	VZEROUPPER()
	RET()
}

// steps512 gives the code that adds the products over n values of K, whole lines, to a
// tile of a whole panel, and over one value; both read from a and b, the first moves them.
func (t tile) steps512(dtype string, a rows, b, ahead Register) (steps func(n int), odd func()) {
	m, p := t.m, t.p
	perLine := 2
	if dtype == "F32" {
		perLine = 1
	}
	var order [2]VecVirtual  // of a line's words: of the first k, of the second
	var upper, half Register // masks of words
	if dtype == "BF16" {
		Comment("The words of one k become the upper halves of 32-bit lanes.")
		for i := range order {
			order[i] = ZMM()
			VMOVDQU16(bf16Order(i), order[i])
		}
		bits := GP32()
		MOVL(U32(0xaaaaaaaa), bits)
		upper = K()
		KMOVD(bits, upper)
		MOVL(U32(0xffff), bits)
		half = K()
		KMOVD(bits, half)
	}
	step := func(i int, last bool) {
		Comment(fmt.Sprintf("k + %d", i))
		w := make([]VecVirtual, p)
		for q := range w {
			w[q] = ZMM()
			line := Mem{Base: b, Disp: i/perLine*lineStep + q*64}
			if i%perLine == 0 {
				fetchLine(line, ahead, m)
			}
			switch dtype {
			case "F32":
				VMOVUPS(line, w[q])
			case "BF16":
				if last { // half a line
					VMOVDQU16_Z(line, half, w[q])
					VPERMW_Z(w[q], order[0], upper, w[q])
				} else {
					VPERMW_Z(line, order[i%2], upper, w[q])
				}
			case "F16":
				line.Disp += i % 2 * 32
				VCVTPH2PS(line, w[q])
			}
		}
		for r := range m {
			x := ZMM()
			VBROADCASTSS(a.at(r, i), x)
			for q := range w {
				VFMADD231PS(w[q], x, t.acc[r][q])
			}
		}
	}
	return func(n int) {
		for i := range n {
			step(i, false)
		}
		a.advance(n)
		ADDQ(U32(n/perLine*lineStep), b)
	}, func() { step(0, true) }
}

// gemmLeaves512 writes gemmLeaves<type>_<m>_512, the tile of variant.gemmLeaves for m
// rows and a whole panel.
func gemmLeaves512(dtype string, m int) {
	name := fmt.Sprintf("gemmLeaves%s_%d%s", dtype, m, avx512.suffix)
	TEXT(name, NOSPLIT, "func(c *float32, size int, ldc int, a *float32, lda int, b *byte, k int, leaves int, first int, ahead int)")
	Doc(fmt.Sprintf("%s is variant.gemmLeaves for m = %d and %s weights, k even, k and leaves >= 1.", name, m, dtype))
	Pragma("noescape")
	t := newTile(avx512, m, stripCount)
	a, b, ahead := loadRows(m), Load(Param("b"), GP64()), Load(Param("ahead"), GP64())
	size, done := Load(Param("size"), GP64()), Load(Param("first"), GP64())
	SHLQ(Imm(2), size)
	Comment("c is where the next leaf's sums go: behind a subtree's for each bit of the leaves done")
	depth := GP64()
	POPCNTQ(done, depth)
	IMULQ(size, depth)
	ADDQ(depth, t.c)
	last := Load(Param("leaves"), GP64())
	ADDQ(done, last)
	steps, _ := t.steps512(dtype, a, b, ahead)
	Label("leaf")
	t.zero()
	k := Load(Param("k"), GP64())
	fours(k, steps)
	TESTQ(U32(2), k)
	JZ(LabelRef("whole"))
	steps(2)
	Label("whole")
	Comment("As a binary counter carries, the subtrees before it are added: left + right.")
	INCQ(done)
	carry := GP64()
	MOVQ(done, carry)
	Label("carry")
	TESTQ(U32(1), carry)
	JNZ(LabelRef("push"))
	SUBQ(size, t.c)
	t.each(func(r, v int, at Mem) { VADDPS(at, t.acc[r][v], t.acc[r][v]) })
	SHRQ(Imm(1), carry)
	JMP(LabelRef("carry"))
	Label("push")
	t.store()
	ADDQ(size, t.c)
	CMPQ(done, last)
	JLT(LabelRef("leaf"))
	VZEROUPPER()
	RET()
}

// fold512 writes variant.fold: one pass over the memory however many subtrees there are.
func fold512() {
	TEXT("foldAVX512", NOSPLIT, "func(c *float32, size int, folds int)")
	Doc("foldAVX512 is variant.fold for size divisible by 64.")
	Pragma("noescape")
	c, size, folds := ptr("c"), ptr("size"), ptr("folds")
	left := GP64()
	MOVQ(size, left)
	SHLQ(Imm(2), size)
	last := GP64() // the distance to the last subtree
	MOVQ(folds, last)
	IMULQ(size, last)
	acc := [4]VecVirtual{ZMM(), ZMM(), ZMM(), ZMM()}
	Label("run")
	at, n := GP64(), GP64()
	LEAQ(Mem{Base: c, Index: last, Scale: 1}, at)
	for i, z := range acc {
		VMOVUPS(Mem{Base: at, Disp: 64 * i}, z)
	}
	MOVQ(folds, n)
	Label("subtree")
	SUBQ(size, at)
	for i, z := range acc {
		VADDPS(Mem{Base: at, Disp: 64 * i}, z, z)
	}
	DECQ(n)
	JNZ(LabelRef("subtree"))
	for i, z := range acc {
		VMOVUPS(z, Mem{Base: at, Disp: 64 * i})
	}
	ADDQ(U32(256), c)
	SUBQ(U32(64), left)
	JNZ(LabelRef("run"))
	VZEROUPPER()
	RET()
}

func fmaProbe512() {
	TEXT("fmaProbe512", NOSPLIT, "func(n int)")
	Doc("fmaProbe512 does 12 n multiply-adds of 512 bits between registers, 384 n operations.")
	n := ptr("n")
	acc := make([]VecVirtual, 12)
	for i := range acc {
		acc[i] = ZMM()
		VPXORD(acc[i], acc[i], acc[i])
	}
	x := ZMM()
	VPXORD(x, x, x)
	Label("loop")
	for i := range acc {
		VFMADD231PS(x, x, acc[i])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// bf16Order is VPERMW's index that takes the words of a line's k number i
// (outputs 0, 8, 1, 9 ...) to the odd places of outputs 0, 1, 2 ...
func bf16Order(i int) Mem {
	name := fmt.Sprintf("bf16Order%d", i)
	if m, ok := constants[name]; ok {
		return m
	}
	m := GLOBL(name, RODATA|NOPTR)
	for j := range 16 {
		word := 16*i + 2*(j%8) + j/8
		DATA(4*j, U32(uint32(word)<<16|uint32(word)))
	}
	constants[name] = m
	return m
}
