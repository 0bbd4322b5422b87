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
					p := maxPanels[m]
					c := make([]float32, m*64)
					a := make([]float32, m*lda)
					ps := k * 16 * d.Size()
					b := make([]byte, ps*p)
					reps := 1 + 200000/k
					ns := bestOf(5, func() {
						for range reps {
							gemmAVX2(d, c, 64, a, lda, b, ps, m, p, k)
						}
					}) / float64(reps)
					fmt.Printf("%v k=%d m=%d p=%d lda=%d: %.1f GF  %.1f GB/s\n", d, k, m, p, lda, float64(2*m*p*16*k)/ns, float64(len(b))/ns)
				}
			}
		}
	}
}
