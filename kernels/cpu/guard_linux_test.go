//go:build !noasm && (amd64 || arm64)

package cpu

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"unsafe"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"golang.org/x/sys/unix"
)

// fence is memory between two pages that may not be touched.
type fence struct {
	t   *testing.T
	mem []byte
	end bool // take from the end, so that an overrun faults; else from the start
}

func newFence(t *testing.T, end bool) *fence {
	t.Helper()
	page := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 34*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(mem) })
	for _, edge := range [][]byte{mem[:page], mem[33*page:]} {
		if err := unix.Mprotect(edge, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return &fence{t: t, mem: mem[page : 33*page], end: end}
}

func (f *fence) bytes(n int) []byte {
	if n > len(f.mem) {
		f.t.Fatalf("%d bytes in a fence of %d", n, len(f.mem))
	}
	if f.end {
		return f.mem[len(f.mem)-n:]
	}
	return f.mem[:n:n]
}

func (f *fence) floats(n int) []float32 {
	if n == 0 {
		return nil
	}
	b := f.bytes(4 * n)
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), n)
}

// fences are what one call's operands stand in; each gets its own.
type fences struct {
	t    *testing.T
	end  bool
	rng  *rand.Rand
	free []*fence
	used int
}

func (f *fences) next() *fence {
	if f.used == len(f.free) {
		f.free = append(f.free, newFence(f.t, f.end))
	}
	f.used++
	return f.free[f.used-1]
}

func (f *fences) random(n int) []float32 {
	v := f.next().floats(n)
	for i := range v {
		v[i] = float32(f.rng.NormFloat64())
	}
	return v
}

// both calls f with the assembly and with its twin, on operands at the edge of
// mapped memory, and compares what is in dst afterwards.
func (f *fences) both(name string, asm, twin *variant, dst []float32, call func(v *variant)) {
	f.t.Helper()
	before := append([]float32(nil), dst...)
	call(asm)
	got := append([]float32(nil), dst...)
	copy(dst, before)
	call(twin)
	for i := range dst {
		if !sameFloat(got[i], dst[i]) {
			f.t.Fatalf("%s: element %d: assembly %x, twin %x", name, i, got[i], dst[i])
		}
	}
	f.used = 0
}

// TestGuardPages runs every assembly function with each operand against the page
// before it, then against the page behind it.
func TestGuardPages(t *testing.T) {
	for _, end := range []bool{false, true} {
		f := &fences{t: t, end: end, rng: rand.New(rand.NewPCG(5, 6))}
		for _, v := range wideVariants() {
			guardTiles(f, v)
		}
		for n := range 67 {
			guardVector(f, n)
			if v := variants()[0]; v.softmaxRows != nil && n > 0 {
				guardSoftmax(f, v, 1+n%maxTileRows, n)
			}
		}
		for _, v := range variants() {
			guardQuant(f, v)
		}
	}
}

// guardTiles tries a variant's tiles of every shape.
func guardTiles(f *fences, v *variant) {
	for m := 1; m <= maxTileRows; m++ {
		for _, d := range []tensor.DType{tensor.F32, tensor.BF16, tensor.F16} {
			for k := 1; k <= 19; k++ {
				guardGemm(f, v, d, m, k)
			}
			for leaves := 1; v.gemmLeaves != nil && leaves <= 5; leaves++ {
				guardLeaves(f, v, d, m, 2*(1+(m+leaves)%4), leaves, (3*leaves+m)%8)
			}
		}
		for t := range kernels.KVQ8 + 1 {
			for d := 8; d <= 56; d += 8 {
				guardScore(f, v, t, m, d, 1+d/8%7)
			}
			for n := 1; n <= 9; n++ {
				for p := 1; p <= v.strips[m]; p++ {
					guardWeigh(f, v, t, m, p, n)
				}
			}
		}
	}
}

// wideVariants are those that have tiles of float32 of their own.
func wideVariants() []*variant {
	return slices.DeleteFunc(variants(), func(v *variant) bool { return v == portable || v.name == "avxvnni" })
}

func guardGemm(f *fences, asm *variant, d tensor.DType, m, k int) {
	p := asm.strips[m]
	a := f.random(m * k)
	c := f.random(m * stripWidth * p)
	b := f.next().bytes(place(k-1, p-1, d) + stripWidth*d.Size())
	for i := range b {
		b[i] = byte(f.rng.Uint32())
		if i%d.Size() == d.Size()-1 {
			b[i] = b[i]&0x83 | 0x38
		}
	}
	f.both(fmt.Sprintf("%s: gemm %v m=%d k=%d", asm.name, d, m, k), asm, portable, c, func(v *variant) {
		v.gemm(d, c, stripWidth*p, a, k, b, m, p, k, 1<<16)
	})
}

// guardLeaves holds gemmLeaves to gemm and add, leaf by leaf.
func guardLeaves(f *fences, asm *variant, d tensor.DType, m, k, leaves, first int) {
	const p = panelStrips
	ldc := panelWidth
	size := m * ldc
	b := f.next().bytes(place(leaves*k-1, p-1, d) + stripWidth*d.Size())
	for i := range b {
		b[i] = byte(f.rng.Uint32())
		if i%d.Size() == d.Size()-1 {
			b[i] = b[i]&0x83 | 0x38
		}
	}
	depth := 0
	for done := first; done < first+leaves; done++ {
		depth = max(depth, bits.OnesCount(uint(done)))
	}
	a, c := f.random(m*leaves*k), f.random((depth+1)*size)
	f.both(fmt.Sprintf("%s: gemmLeaves %v m=%d k=%d leaves=%d first=%d", asm.name, d, m, k, leaves, first), asm, portable, c, func(v *variant) {
		if v.gemmLeaves != nil {
			v.gemmLeaves(d, c, size, ldc, a, leaves*k, b, m, k, leaves, first, 1<<16)
			clear(c[bits.OnesCount(uint(first+leaves))*size:]) // what has been carried
			return
		}
		for i := range leaves {
			top := bits.OnesCount(uint(first + i))
			sums := c[top*size:][:size]
			clear(sums)
			for r := range m {
				for q := 0; q < p; q += v.strips[1] {
					v.gemm(d, sums[r*ldc+q*stripWidth:], ldc, a[r*leaves*k+i*k:], leaves*k, b[place(i*k, q, d):], 1, v.strips[1], k, 0)
				}
			}
			for count := first + i + 1; count&1 == 0; count >>= 1 {
				top--
				v.add(c[top*size:][:size], c[top*size:][:size], c[(top+1)*size:])
			}
		}
		clear(c[bits.OnesCount(uint(first+leaves))*size:])
	})
}

// randomKV are n elements of keys or values; NaN and infinities too where the
// type has them.
func (f *fences) randomKV(t kernels.KVType, n int) []byte {
	b := f.next().bytes(n * t.ElementBytes())
	for i := range b {
		b[i] = byte(f.rng.Uint32())
		if size := t.ElementBytes(); size > 1 && i%size == size-1 && f.rng.IntN(50) > 0 {
			b[i] = b[i]&0x83 | 0x38
		}
	}
	return b
}

func guardWeigh(f *fences, asm *variant, t kernels.KVType, m, p, n int) {
	off := []int{n * stripWidth * p, 0}
	a, c, x := f.random(m*2*n), f.random(m*stripWidth*p), f.randomKV(t, 2*n*stripWidth*p)
	f.both(fmt.Sprintf("%s: weigh %v m=%d p=%d n=%d", asm.name, t, m, p, n), asm, portable, c, func(v *variant) {
		v.weigh(t, c, stripWidth*p, a, 2*n, x, stripWidth*p, off, m, p, n)
	})
}

func guardScore(f *fences, asm *variant, t kernels.KVType, m, d, tiles int) {
	a, c, keys := f.random(m*d), f.random(m*stripWidth*tiles), f.randomKV(t, d*stripWidth*tiles)
	off := make([]int, tiles)
	for i := range off {
		off[i] = (tiles - 1 - i) * d * stripWidth
	}
	f.both(fmt.Sprintf("%s: score %v m=%d d=%d tiles=%d", asm.name, t, m, d, tiles), asm, portable, c, func(v *variant) {
		v.score(t, c, stripWidth*tiles, a, d, keys, off, keys, off, m, d, &scoreEnds{})
	})
}

// guardSoftmax holds softmaxRows to softmax, of rows that have -Inf, zeros of both signs
// and, in one of them, NaN.
func guardSoftmax(f *fences, asm *variant, rows, n int) {
	stride := n + 3
	x := f.random((rows-1)*stride + n)
	for i := range x {
		switch i % 11 {
		case 3:
			x[i] = float32(math.Inf(-1))
		case 5:
			x[i] = float32(math.Copysign(0, float64(i%2)-0.5))
		}
	}
	if rows > 2 {
		x[2*stride] = float32(math.NaN())
		fill(x[stride:][:n], float32(math.Inf(-1)))
	}
	got := map[*variant][][2]float32{}
	f.both(fmt.Sprintf("%s: softmaxRows rows=%d n=%d", asm.name, rows, n), asm, portable, x, func(v *variant) {
		out := make([][2]float32, rows)
		if v.softmaxRows != nil {
			v.softmaxRows(x, stride, rows, n, 0.7, out)
		} else {
			for r := range out {
				row := append(make([]float32, 0, n+7), x[r*stride:][:n]...)
				out[r][0], out[r][1] = v.softmax(row, 0.7, new([8]float64))
				copy(x[r*stride:], row)
			}
		}
		got[v] = out
	})
	for r, want := range got[portable] {
		for i, sum := range got[asm][r] {
			if !sameFloat(sum, want[i]) {
				f.t.Fatalf("%s: softmaxRows rows=%d n=%d: row %d: assembly %x, twin %x", asm.name, rows, n, r, got[asm][r], want)
			}
		}
	}
}

func guardVector(f *fences, n int) {
	name := func(op string) string { return fmt.Sprintf("%s n=%d", op, n) }
	asm := variants()[0] // all that are not portable share these
	stack := f.random(n % 5 * 3 * panelWidth)
	if size := n % 5 * panelWidth; size > 0 {
		f.both(name("fold"), asm, portable, stack, func(v *variant) { v.fold(stack[n%2*size:], size, 2-n%2); clear(stack[(n%2+1)*size:]) })
	}
	dst, x, y := f.random(n), f.random(n), f.random(n)
	f.both(name("blend"), asm, portable, dst, func(v *variant) { v.blend(dst, x, 0.3, 0.7) })
	f.both(name("siluMul"), asm, portable, dst, func(v *variant) { v.siluMul(dst, x, y) })
	f.both(name("geluMul"), asm, portable, dst, func(v *variant) { v.geluMul(dst, x, y) })
	f.both(name("softCap"), asm, portable, dst, func(v *variant) { v.softCap(dst, 1.7, 3) })
	f.both(name("add"), asm, portable, dst, func(v *variant) { v.add(dst, x, y) })
	f.both(name("add to itself"), asm, portable, dst, func(v *variant) { v.add(dst, dst, x) })
	f.both(name("mulScaled"), asm, portable, dst, func(v *variant) { v.mulScaled(dst, x, y, 1.7) })
	f.both(name("rotate"), asm, portable, dst, func(v *variant) { v.rotate(dst, append([]float32(nil), x...), y, x) })
	if n%8 == 0 {
		f.both(name("scaleMax"), asm, portable, dst, func(v *variant) {
			if top := v.scaleMax(dst, 3); n > 0 {
				dst[0] += top
			}
		})
		f.both(name("expSum"), asm, portable, dst, func(v *variant) {
			var sum [8]float64
			v.expSum(dst, x, 0.5, &sum)
			if n > 0 {
				dst[0] += float32(sumLanes(sum[:]))
			}
		})
	}
	if n%16 == 0 {
		f.both(name("sumSquares"), asm, portable, dst, func(v *variant) {
			var sum [16]float64
			v.sumSquares(x, &sum)
			if n > 0 {
				dst[0] += float32(sumLanes(sum[:]))
			}
		})
	}
}
