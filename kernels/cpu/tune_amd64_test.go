//go:build !noasm

package cpu

import (
	"github.com/sullae/sullae/kernels"
	"math/rand/v2"
	"strings"

	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/sullae/sullae/kernels/tensor"
	"golang.org/x/sys/unix"
)

func cpuTime() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return ts.Nano()
}

func bestOf(n int, f func()) float64 {
	best := int64(1 << 62)
	for range n {
		t := cpuTime()
		f()
		best = min(best, cpuTime()-t)
	}
	return float64(best)
}

func TestTune(t *testing.T) {
	if os.Getenv("TUNE") == "" {
		t.Skip()
	}
	runtime.LockOSThread()
	fmt.Printf("peak %.1f\n", 192*float64(1<<20)/bestOf(5, func() { fmaProbe(1 << 20) }))
	for _, d := range []tensor.DType{tensor.BF16, tensor.F32, tensor.F16} {
		for _, k := range []int{128, 256, 512, 4096} {
			for m := 1; m <= 6; m++ {
				for _, lda := range []int{k, k + 16} {
					p := maxStrips[m]
					c := make([]float32, m*64)
					a := make([]float32, m*lda)
					size := (k + 1) / 2 * 2 * 64 * d.Size()
					b := make([]byte, size)
					reps := 1 + 200000/k
					ns := bestOf(5, func() {
						for range reps {
							gemmAVX2(d, c, 64, a, lda, b, m, p, k, 0)
						}
					}) / float64(reps)
					fmt.Printf("%v k=%d m=%d p=%d lda=%d: %.1f GF  %.1f GB/s\n", d, k, m, p, lda, float64(2*m*p*16*k)/ns, float64(k*p*16*d.Size())/ns)
				}
			}
		}
	}
}

func TestTune2(t *testing.T) {
	if os.Getenv("TUNE") == "" {
		t.Skip()
	}
	runtime.LockOSThread()
	b := &testing.B{}
	be, _ := New(Config{Threads: 1})
	r, _ := newRegion(256 << 20)
	buf := r.data
	for i := range buf {
		buf[i] = 1
	}
	for _, sh := range [][3]int{{4096, 4096, 1}, {4096, 14336, 32}} {
		for _, d := range []tensor.DType{tensor.BF16, tensor.F32} {
			w := randomWeights(b, be, d, sh[0], sh[1], even(sh[1], sh[2]))
			for _, rows := range []int{1, 2, 3, 4, 5, 6, 7, 8, 16, 24, 32} {
				for _, few := range []int{1} {
					x, dst := make(buffer, rows*sh[1]), make(buffer, rows*sh[0])
					i := 0
					lim := float64(len(buf)) / bestOf(3, func() { readProbe(&buf[0], len(buf)) })
					ns := bestOf(10, func() { be.MatMul(dst, x, w[i%len(w)], rows); i++ })
					lim = max(lim, float64(len(buf))/bestOf(3, func() { readProbe(&buf[0], len(buf)) }))
					fmt.Printf("%v %v rows=%d few=%d: %.1f GB/s (%.1f)  %.1f GF (%.1f)\n", sh, d, rows, few, float64(w[0].Bytes())/ns, lim, 2*float64(rows*sh[0]*sh[1])/ns, 192*float64(1<<20)/bestOf(3, func() { fmaProbe(1 << 20) }))
				}
			}
			for _, w := range w {
				w.Free()
			}
		}
	}
}

func TestTune3(t *testing.T) {
	if os.Getenv("TUNE") == "" {
		t.Skip()
	}
	runtime.LockOSThread()
	peak := func() float64 { return 192 * float64(1<<20) / bestOf(3, func() { fmaProbe(1 << 20) }) }
	d := tensor.BF16
	for _, k := range []int{256, 512, 1024} {
		for _, lda := range []int{k, 4096, 4096 + 16} {
			for _, size := range []int{64 << 10, 512 << 10, 4 << 20} {
				m := 6
				c := make([]float32, m*128)
				a := make([]float32, m*lda*4)
				b := make([]byte, size)
				for i := range b {
					b[i] = 0x3c
				}
				for i := range a {
					a[i] = 1
				}
				reps := 0
				ns := bestOf(5, func() {
					reps = 0
					for range 4 {
						for off := 0; off+place(k, 0, d) <= size; off += place(k, 0, d) {
							for q := range 4 {
								gemmAVX2(d, c[q*16:], 128, a, lda, b[off+64*q:], m, 1, k, 0)
								reps++
							}
						}
					}
				}) / float64(reps)
				fmt.Printf("k=%d lda=%d size=%dK: %.1f GF (%.1f)\n", k, lda, size>>10, float64(2*m*16*k)/ns, peak())
			}
		}
	}
}

func TestTune4(t *testing.T) {
	if os.Getenv("TUNE") == "" {
		t.Skip()
	}
	runtime.LockOSThread()
	be, _ := New(Config{Threads: 1})
	d := tensor.BF16
	w := randomWeights(&testing.B{}, be, d, 4096, 4096, nil)[:1]
	for _, val := range []float32{0, 1, 0.01} {
		for _, rows := range []int{6, 12, 48, 192} {
			x, dst := make(buffer, rows*4096), make(buffer, rows*4096)
			for i := range x {
				x[i] = val
			}
			ns := bestOf(10, func() { be.MatMul(dst, x, w[0], rows) })
			fmt.Printf("val %v rows %d: %.1f\n", val, rows, 2*float64(rows)*4096*4096/ns)
		}
	}
}

func TestTune5(t *testing.T) {
	if os.Getenv("TUNE") == "" {
		t.Skip()
	}
	runtime.LockOSThread()
	be, _ := New(Config{Threads: 1})
	const heads, kvHeads, dim, size, context = 32, 8, 128, 16, 16384
	kv, _ := be.NewKV(kernels.KVConfig{Layers: 1, Blocks: context / size, BlockSize: size, KVHeads: kvHeads, HeadDim: dim})
	spec := kernels.AttentionSpec{Heads: heads, HeadDim: dim, Scale: 0.1}
	for h := range heads {
		spec.KVHead = append(spec.KVHead, h*kvHeads/heads)
	}
	k := make(buffer, context*kvHeads*dim)
	for i := range k {
		k[i] = rand.Float32()
	}
	s := kernels.SeqRows{N: context}
	order := rand.Perm(context / size)
	if os.Getenv("TUNE") == "2" {
		for i := range order {
			order[i] = i
		}
	}
	for _, b := range order {
		s.Blocks = append(s.Blocks, int32(b))
	}
	be.WriteKV(kv, 0, k, k, []kernels.SeqRows{s})
	sm, _ := os.ReadFile("/proc/self/smaps")
	for _, l := range strings.Split(string(sm), "\n") {
		if strings.HasPrefix(l, "AnonHuge") && !strings.HasSuffix(l, " 0 kB") {
			fmt.Println(l)
		}
	}
	r, _ := newRegion(128 << 20)
	for i := range r.data {
		r.data[i] = 1
	}
	q, dst := make(buffer, heads*dim), make(buffer, heads*dim)
	copy(q, k)
	for _, n := range []int{1000, 4000, 16384} {
		s.Row, s.N, s.Pos = 0, 1, n-1
		f := func() { be.Attention(dst, q, kv, spec, []kernels.SeqRows{s}) }
		for range 3 {
			lim := float64(len(r.data)) / bestOf(3, func() { readProbe(&r.data[0], len(r.data)) })
			ns := bestOf(10, f)
			fmt.Printf("n=%d %.1f GB/s (%.1f)\n", n, float64(n)*kvHeads*dim*8/ns, lim)
		}
	}
	p := kv.(*kvPool)
	c := make([]float32, 4*16*300)
	for _, m := range []int{1, 4, 6} {
		ns := bestOf(10, func() {
			for i := range 1000 {
				v.score(c, 272, q, 128, p.k[i%4*2048:][:2048], p.k, p.v, m, 128)
			}
		}) / 1000
		fmt.Printf("score m=%d %.1f GF %.1f GB/s\n", m, float64(m*16*128*2)/ns, 8192/ns)
		off := []int{}
		for i := range 16 {
			off = append(off, i*2048)
		}
		ns = bestOf(10, func() {
			for range 1000 {
				for s := 0; s < 8; s += maxStrips[m] {
					v.weigh(c[s*16:], 128, q, 272, p.v[s*16:], 128, off, m, maxStrips[m], 16)
				}
			}
		}) / 1000
		fmt.Printf("weigh m=%d %.1f GF %.1f GB/s\n", m, float64(m*256*128*2)/ns, 131072/ns)
	}
	ns := bestOf(10, func() {
		for range 1000 {
			be.softmax(c[:256], 0.1)
		}
	}) / 1000
	fmt.Printf("softmax 256: %.0f ns\n", ns)
}

var v = avx2

func TestTune6(t *testing.T) {
	if os.Getenv("TUNE") == "" {
		t.Skip()
	}
	runtime.LockOSThread()
	r, _ := newRegion(256 << 20)
	for i := range r.data {
		r.data[i] = 1
	}
	for _, size := range []int{1 << 20, 128 << 10, 64 << 10, 32 << 10, 16 << 10, 8 << 10, 4 << 10} {
		n := len(r.data) / size
		perm := rand.Perm(n)
		ns := bestOf(5, func() {
			for _, i := range perm {
				readProbe(&r.data[i*size], size)
			}
		})
		fmt.Printf("random %dK: %.1f GB/s\n", size>>10, float64(len(r.data))/ns)
	}
}

var sink byte

func TestTune7(t *testing.T) {
	if os.Getenv("TUNE") == "" {
		t.Skip()
	}
	runtime.LockOSThread()
	r, _ := newRegion(256 << 20)
	for i := range r.data {
		r.data[i] = 1
	}
	const size = 8 << 10
	n := len(r.data) / size
	perm := rand.Perm(n)
	for _, dist := range []int{1, 2, 3} {
		for _, lines := range []int{0, 1, 2, 3, 4, 8, 16} {
			ns := bestOf(7, func() {
				for i := range n - dist {
					next := r.data[perm[i+dist]*size:]
					s := byte(0)
					for l := range lines {
						s += next[64*l] + next[4096+64*l]
					}
					sink += s
					readProbe(&r.data[perm[i]*size], size)
				}
			})
			fmt.Printf("dist %d lines %d: %.1f GB/s\n", dist, lines, float64(len(r.data))/ns)
		}
	}
}
