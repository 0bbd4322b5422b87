//go:build !noasm

package cpu

import (
	"fmt"
	"testing"
	"time"

	"github.com/sullae/sullae/kernels"
)

func TestMicro(t *testing.T) {
	lim3, lim8 := intLimit("avx2", kernels.Q8, 1), intLimit("avx2", kernels.Q4, 1)
	vn := intLimit("avx512vnni", kernels.Q4, 1)
	fmt.Printf("dot3 %.0f dot8 %.0f vnni %.0f\n", lim3, lim8, vn)
	for _, v := range variants()[:2] {
		for _, f := range []kernels.Format{kernels.Q8, kernels.Q4} {
			for _, groups := range []int{8, 64} {
				for _, m := range []int{1, 2, 4, 8} {
					if m > v.tileRows {
						continue
					}
					p := v.quantStrips[m]
					x := make([]byte, groups*v.tileRows*rowGroupBytes)
					w := make([]byte, groups*quantGroupBytes(f))
					c := make([]float32, m*64)
					best := time.Hour
					for range 300 {
						s := time.Now()
						for range 20 {
							v.quantGemm(f, c, 64, x, w, 0, m, p, groups, 0)
						}
						best = min(best, time.Since(s))
					}
					fmt.Printf("%s %v groups %d m %d: %.0f GOP/s\n", v.name, f, groups, m, float64(20*groups*32*2*m*p*16)/float64(best))
				}
			}
		}
	}
}
