package cpu

import (
	"testing"
)

// BenchmarkAddTo is what an all-reduce adds: beside it stand the memory's and the
// plain loop's rates.
func BenchmarkAddTo(b *testing.B) {
	for _, v := range variants() {
		b.Run(v.name, func(b *testing.B) {
			x, y := make([]float32, 1<<16), make([]float32, 1<<16)
			b.SetBytes(4 << 16)
			for b.Loop() {
				v.add(x, x, y)
			}
		})
	}
}
