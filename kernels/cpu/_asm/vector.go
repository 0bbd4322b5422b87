package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func vector() {
	scaleMax()
	expSum()
	blend()
	siluMul()
	geluMul()
	softCap()
	add()
	sumSquares()
	mulScaled()
	rotate()
	fmaVector()
	spinPause()
	readProbe()
	fmaProbe()
}

// function begins a function whose Go twin is called name + "Go".
func function(name, signature, what string) {
	TEXT(name, NOSPLIT, signature)
	Doc(name+" is "+what, "Please refer to "+name[:len(name)-4]+"Go for the reference implementation.")
	Pragma("noescape")
}

// eights runs body once for each 8 of count elements, advancing the pointers.
func eights(count Register, body func(), pointers ...Register) {
	SHRQ(Imm(3), count)
	JZ(LabelRef("done"))
	Label("loop")
	body()
	for _, p := range pointers {
		ADDQ(Imm(32), p)
	}
	DECQ(count)
	JNZ(LabelRef("loop"))
	Label("done")
}

func ptr(name string) Register { return Load(Param(name), GP64()) }

func mem(p Register) Mem { return Mem{Base: p} }

// broadcast is a parameter in all lanes.
func broadcast(name string) VecVirtual {
	y := YMM()
	at, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(at.Addr, y)
	return y
}

// constant is the address of eight copies of a float32, made once.
func constant(name string, bits uint32) Mem {
	if m, ok := constants[name]; ok {
		return m
	}
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(bits))
	}
	constants[name] = m
	return m
}

var constants = map[string]Mem{}

func float(name string, f float32) Mem { return constant(name, math.Float32bits(f)) }

// expConstants are what exp takes, the same in all lanes, in the order in which it does.
var expConstants = []struct {
	name string
	bits uint32
}{
	{"expLo", math.Float32bits(-104)},
	{"expHi", math.Float32bits(89)},
	{"log2E", math.Float32bits(1.44269504088896341)},
	{"roundMagic", math.Float32bits(12582912)},
	{"ln2Hi", math.Float32bits(0.693145751953125)},
	{"ln2Lo", math.Float32bits(1.42860676533018e-06)},
	{"expC6", math.Float32bits(0.001381457201205194)},
	{"expC5", math.Float32bits(0.00836872961372137)},
	{"expC4", math.Float32bits(0.04166838899254799)},
	{"expC3", math.Float32bits(0.1666652113199234)},
	{"expC2", math.Float32bits(0.4999999403953552)},
	{"one", math.Float32bits(1)},
	{"bias", 127},
}

// exp replaces x by e^x, with exp32's order of operations.
func exp(x VecVirtual) VecVirtual {
	at := map[string]Op{}
	for _, c := range expConstants {
		at[c.name] = constant(c.name, c.bits)
	}
	return expOf(YMM, at, x)
}

// expOf is exp in vectors of any width, with its constants at k.
func expOf(vec func() VecVirtual, k map[string]Op, x VecVirtual) VecVirtual {
	lo, t, n, p := vec(), vec(), vec(), vec()
	VMOVUPS(k["expLo"], lo)
	VMAXPS(x, lo, x)
	VMOVUPS(k["expHi"], lo)
	VMINPS(x, lo, x)
	Comment("n = round(x log2 e), r = x - n ln 2")
	VMOVUPS(k["log2E"], t)
	VFMADD213PS(k["roundMagic"], x, t)
	VSUBPS(k["roundMagic"], t, n)
	VFNMADD231PS(k["ln2Hi"], n, x)
	VFNMADD231PS(k["ln2Lo"], n, x)
	Comment("the polynomial")
	VMOVUPS(k["expC6"], p)
	VFMADD213PS(k["expC5"], x, p)
	VFMADD213PS(k["expC4"], x, p)
	VFMADD213PS(k["expC3"], x, p)
	VFMADD213PS(k["expC2"], x, p)
	VFMADD213PS(k["one"], x, p)
	VFMADD213PS(k["one"], x, p)
	Comment("times 2^n in two halves")
	half := n
	VPSUBD(k["roundMagic"], t, t)
	VPSRAD(Imm(1), t, half)
	VPSUBD(half, t, t)
	VPADDD(k["bias"], half, half)
	VPADDD(k["bias"], t, t)
	VPSLLD(Imm(23), half, half)
	VPSLLD(Imm(23), t, t)
	VMULPS(half, p, p)
	VMULPS(t, p, p)
	return p
}

func scaleMax() {
	function("scaleMaxAVX2", "func(s *float32, n int, f float32, lanes *[8]float32)",
		"variant.scaleMax for n divisible by 8; lanes takes the maxima.")
	s, n := ptr("s"), ptr("n")
	f, top := broadcast("f"), YMM()
	VMOVUPS(constant("minusInf", 0xff800000), top)
	eights(n, func() {
		x := YMM()
		VMULPS(mem(s), f, x)
		VMOVUPS(x, mem(s))
		Comment("the old maximum stays where x is not greater, or NaN")
		VMAXPS(top, x, top)
	}, s)
	VMOVUPS(top, mem(ptr("lanes")))
	VZEROUPPER()
	RET()
}

func expSum() {
	function("expSumAVX2", "func(dst *float32, src *float32, n int, shift float32, sum *[8]float64)",
		"variant.expSum for n divisible by 8.")
	dst, src, n, sum := ptr("dst"), ptr("src"), ptr("n"), ptr("sum")
	shift := broadcast("shift")
	lo, hi := YMM(), YMM()
	VMOVUPD(mem(sum), lo)
	VMOVUPD(Mem{Base: sum, Disp: 32}, hi)
	eights(n, func() {
		x := YMM()
		VMOVUPS(mem(src), x)
		VSUBPS(shift, x, x)
		e := exp(x)
		VMOVUPS(e, mem(dst))
		a, b := YMM(), YMM()
		VCVTPS2PD(e.AsX(), a)
		VEXTRACTF128(Imm(1), e, b.AsX())
		VCVTPS2PD(b.AsX(), b)
		VADDPD(a, lo, lo)
		VADDPD(b, hi, hi)
	}, dst, src)
	VMOVUPD(lo, mem(sum))
	VMOVUPD(hi, Mem{Base: sum, Disp: 32})
	VZEROUPPER()
	RET()
}

func blend() {
	function("blendAVX2", "func(dst *float32, src *float32, n int, a float32, b float32)",
		"variant.blend for n divisible by 8.")
	dst, src, n := ptr("dst"), ptr("src"), ptr("n")
	a, b := broadcast("a"), broadcast("b")
	eights(n, func() {
		x, y := YMM(), YMM()
		VMULPS(mem(dst), a, x)
		VMULPS(mem(src), b, y)
		VADDPS(y, x, x)
		VMOVUPS(x, mem(dst))
	}, dst, src)
	VZEROUPPER()
	RET()
}

func siluMul() {
	function("siluMulAVX2", "func(dst *float32, gate *float32, up *float32, n int)",
		"variant.siluMul for n divisible by 8.")
	dst, gate, up, n := ptr("dst"), ptr("gate"), ptr("up"), ptr("n")
	eights(n, func() {
		g, x := YMM(), YMM()
		VMOVUPS(mem(gate), g)
		VXORPS(constant("signBit", 0x80000000), g, x)
		e := exp(x)
		VADDPS(float("one", 1), e, e)
		VDIVPS(e, g, g)
		VMULPS(mem(up), g, g)
		VMOVUPS(g, mem(dst))
	}, dst, gate, up)
	VZEROUPPER()
	RET()
}

// geluMul follows gelu32.
func geluMul() {
	function("geluMulAVX2", "func(dst *float32, gate *float32, up *float32, n int)",
		"variant.geluMul for n divisible by 8.")
	dst, gate, up, n := ptr("dst"), ptr("gate"), ptr("up"), ptr("n")
	eights(n, func() {
		g, x, t := YMM(), YMM(), YMM()
		VMOVUPS(mem(gate), g)
		VMULPS(g, g, x)
		VMOVUPS(float("geluB", -0.0713548162726), t)
		VFMADD213PS(float("geluA", -1.5957691216057308), x, t)
		VMULPS(t, g, x)
		e := exp(x)
		VADDPS(float("one", 1), e, e)
		VDIVPS(e, g, g)
		VMULPS(mem(up), g, g)
		VMOVUPS(g, mem(dst))
	}, dst, gate, up)
	VZEROUPPER()
	RET()
}

// softCap follows tanh32.
func softCap() {
	function("softCapAVX2", "func(x *float32, n int, f float32, limit float32)", "variant.softCap for n divisible by 8.")
	x, n := ptr("x"), ptr("n")
	f, limit := broadcast("f"), broadcast("limit")
	eights(n, func() {
		y, a, sign := YMM(), YMM(), YMM()
		VMULPS(mem(x), f, y)
		VDIVPS(limit, y, y)
		VANDPS(constant("signBit", 0x80000000), y, sign)
		VXORPS(sign, y, a)
		Comment("1 - 2/(exp(2a) + 1)")
		VADDPS(a, a, y)
		e := exp(y)
		VADDPS(float("one", 1), e, e)
		big := YMM()
		VMOVUPS(float("two", 2), big)
		VDIVPS(e, big, e)
		VMOVUPS(float("one", 1), big)
		VSUBPS(e, big, big)
		Comment("a + a z P(z)")
		z, p := YMM(), YMM()
		VMULPS(a, a, z)
		VMOVUPS(float("tanhC4", -0.0057049869934552029), p)
		VFMADD213PS(float("tanhC3", 0.020639087244729173), z, p)
		VFMADD213PS(float("tanhC2", -0.053739715085824959), z, p)
		VFMADD213PS(float("tanhC1", 0.13331442198175808), z, p)
		VFMADD213PS(float("tanhC0", -0.33333281942012773), z, p)
		VMULPS(z, p, p)
		VFMADD213PS(a, a, p)
		Comment("which of them; NaN is not greater")
		VCMPPS(Imm(13), float("tanhSplit", 0.625), a, a)
		VBLENDVPS(a, big, p, p)
		VORPS(sign, p, p)
		VMULPS(limit, p, p)
		VMOVUPS(p, mem(x))
	}, x)
	VZEROUPPER()
	RET()
}

func add() {
	function("addAVX2", "func(dst *float32, x *float32, y *float32, n int)", "variant.add for n divisible by 8.")
	dst, x, y, n := ptr("dst"), ptr("x"), ptr("y"), ptr("n")
	eights(n, func() {
		v := YMM()
		VMOVUPS(mem(x), v)
		VADDPS(mem(y), v, v)
		VMOVUPS(v, mem(dst))
	}, dst, x, y)
	VZEROUPPER()
	RET()
}

func sumSquares() {
	function("sumSquaresAVX2", "func(x *float32, n int, sum *[16]float64)", "variant.sumSquares for n divisible by 16.")
	x, n, sum := ptr("x"), ptr("n"), ptr("sum")
	acc := make([]VecVirtual, 4)
	for i := range acc {
		acc[i] = YMM()
		VMOVUPD(Mem{Base: sum, Disp: 32 * i}, acc[i])
	}
	SHRQ(Imm(4), n)
	JZ(LabelRef("done"))
	Label("loop")
	for i := range acc {
		y := YMM()
		VCVTPS2PD(Mem{Base: x, Disp: 16 * i}, y)
		VFMADD231PD(y, y, acc[i])
	}
	ADDQ(Imm(64), x)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	for i := range acc {
		VMOVUPD(acc[i], Mem{Base: sum, Disp: 32 * i})
	}
	VZEROUPPER()
	RET()
}

func mulScaled() {
	function("mulScaledAVX2", "func(dst *float32, x *float32, w *float32, n int, f float32)",
		"variant.mulScaled for n divisible by 8.")
	dst, x, w, n := ptr("dst"), ptr("x"), ptr("w"), ptr("n")
	f := broadcast("f")
	eights(n, func() {
		y := YMM()
		VMULPS(mem(x), f, y)
		VMULPS(mem(w), y, y)
		VMOVUPS(y, mem(dst))
	}, dst, x, w)
	VZEROUPPER()
	RET()
}

func rotate() {
	function("rotateAVX2", "func(a *float32, b *float32, cos *float32, sin *float32, n int)",
		"variant.rotate for n divisible by 8.")
	a, b, cos, sin, n := ptr("a"), ptr("b"), ptr("cos"), ptr("sin"), ptr("n")
	eights(n, func() {
		x, y, c, s, t := YMM(), YMM(), YMM(), YMM(), YMM()
		VMOVUPS(mem(a), x)
		VMOVUPS(mem(b), y)
		VMOVUPS(mem(cos), c)
		VMOVUPS(mem(sin), s)
		VMULPS(y, s, t)
		VMULPS(x, s, s)
		VMULPS(x, c, x)
		VMULPS(y, c, y)
		VSUBPS(t, x, x)
		VADDPS(s, y, y)
		VMOVUPS(x, mem(a))
		VMOVUPS(y, mem(b))
	}, a, b, cos, sin)
	VZEROUPPER()
	RET()
}

// fmaVector is the hardware's own answer, for the test of fma32.
func fmaVector() {
	TEXT("fmaAVX2", NOSPLIT, "func(dst *float32, x *float32, y *float32, n int)")
	Doc("fmaAVX2 is dst[i] = fma(x[i], y[i], dst[i]) for n divisible by 8, for the test of fma32.")
	Pragma("noescape")
	dst, x, y, n := ptr("dst"), ptr("x"), ptr("y"), ptr("n")
	eights(n, func() {
		a, v := YMM(), YMM()
		VMOVUPS(mem(x), v)
		VMOVUPS(mem(dst), a)
		VFMADD231PS(mem(y), v, a)
		VMOVUPS(a, mem(dst))
	}, dst, x, y)
	VZEROUPPER()
	RET()
}

func spinPause() {
	TEXT("spinHint", NOSPLIT, "func()")
	Doc("spinHint passes some tens of cycles, leaving the core's resources to others.")
	PAUSE()
	RET()
}

// readProbe and fmaProbe are the limits that benchmarks stand beside.
func readProbe() {
	TEXT("readProbe", NOSPLIT, "func(p *byte, n int)")
	Doc("readProbe reads n bytes, n divisible by 512, in order, and does nothing with them.")
	Pragma("noescape")
	p, n := ptr("p"), ptr("n")
	acc := make([]VecVirtual, 8)
	for i := range acc {
		acc[i] = YMM()
		VXORPS(acc[i], acc[i], acc[i])
	}
	SHRQ(Imm(9), n)
	JZ(LabelRef("done"))
	Label("loop")
	for i := range 16 {
		VORPS(Mem{Base: p, Disp: 32 * i}, acc[i%8], acc[i%8])
	}
	ADDQ(U32(512), p)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}

func fmaProbe() {
	TEXT("fmaProbe", NOSPLIT, "func(n int)")
	Doc("fmaProbe does 12 n vector multiply-adds between registers, 192 n operations.")
	n := ptr("n")
	acc := make([]VecVirtual, 12)
	for i := range acc {
		acc[i] = YMM()
		VXORPS(acc[i], acc[i], acc[i])
	}
	x := YMM()
	VXORPS(x, x, x)
	Label("loop")
	for i := range acc {
		VFMADD231PS(x, x, acc[i])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
