//go:build !noasm

package cpu

import (
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
					size := (k+1)/2*2*64*d.Size()
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
	buf := make([]byte, 256<<20)
	for i := range buf {
		buf[i] = 1
	}
	for _, sh := range [][3]int{{4096, 4096, 1}} {
		for _, d := range []tensor.DType{tensor.BF16, tensor.F32} {
			w := randomWeights(b, be, d, sh[0], sh[1], even(sh[1], sh[2]))
			for _, rows := range []int{1, 2, 4, 6, 8, 16, 32} {
				for _, few := range []int{64, 128, 256, 512} {
					if rows == 1 && few != 512 {
						continue
					}
					if rows > 6 {
						kBlock = min(few, 1024)
					}
					kFew = few
					x, dst := make(buffer, rows*sh[1]), make(buffer, rows*sh[0])
					i := 0
					lim := float64(len(buf)) / bestOf(3, func() { readProbe(&buf[0], len(buf)) })
					ns := bestOf(10, func() { be.MatMul(dst, x, w[i%len(w)], rows); i++ })
					lim = max(lim, float64(len(buf))/bestOf(3, func() { readProbe(&buf[0], len(buf)) }))
					fmt.Printf("%v %v rows=%d few=%d: %.1f GB/s (%.1f)  %.1f GF\n", sh, d, rows, few, float64(w[0].Bytes())/ns, lim, 2*float64(rows*sh[0]*sh[1])/ns)
				}
				kBlock = 512
			}
			for _, w := range w {
				w.Free()
			}
		}
	}
}
