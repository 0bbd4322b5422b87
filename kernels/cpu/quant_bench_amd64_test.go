//go:build !noasm

package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// intLimit is the peak of integer products in GOP/s: of dot3 for 8-bit weights,
// dot8 for 4-bit ones, or VPDPBUSD.
func intLimit(variant string, f kernels.Format, threads int) float64 {
	const n = 1 << 18
	switch {
	case variant == "avx512vnni":
		return rate(threads, 1536*n, func(int) { vnniProbe(n) })
	case variant == "avxvnni":
		return rate(threads, 768*n, func(int) { vnniProbe256(n) })
	case f == kernels.Q8:
		return rate(threads, 256*n, func(int) { dot3Probe(n) })
	}
	return rate(threads, 2048*n, func(int) { dot8Probe(n) })
}

// BenchmarkQuant is BenchmarkDecode, Batch32 and Prefill for quantized weights,
// in each variant.
func BenchmarkQuant(b *testing.B) {
	for _, v := range variants()[:len(variants())-1] {
		for _, f := range []kernels.Format{kernels.Q8, kernels.Q4} {
			for _, rows := range []int{1, 4, 8, 32, 512} {
				for _, threads := range threadCounts() {
					benchQuant(b, v.name, f, rows, 2048, 2048, nil, threads)
				}
			}
			benchQuant(b, v.name, f, 1, 2048, 7168, even(7168, 32), 1)
			benchQuant(b, v.name, f, 512, 2048, 7168, even(7168, 32), 1)
		}
	}
}

func benchQuant(b *testing.B, variant string, f kernels.Format, rows, out, k int, leaves []int, threads int) {
	b.Run(fmt.Sprintf("%s/%v/%dx%d/rows=%d/threads=%d", variant, f, out, k, rows, threads), func(b *testing.B) {
		be := newTest(b, variant, threads)
		row := make(noise, 2*k)
		for i := range row {
			if row[i] = byte(rand.Uint32()); i%2 == 1 {
				row[i] = row[i]&0x83 | 0x3c
			}
		}
		var w []kernels.Weight
		for size := 0; size < 192<<20; size += int(w[0].Bytes()) {
			m, err := be.Pack(kernels.WeightSpec{Name: "bench", Out: out, K: k, DType: tensor.BF16, Format: f, Leaves: leaves}, row)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(m.Free)
			w = append(w, m)
			if rows >= 32 {
				break
			}
		}
		x, dst := make(buffer, rows*k), make(buffer, rows*out)
		for i := range x {
			x[i] = rand.Float32()
		}
		i := 0
		run := func() {
			be.MatMul(dst, x, w[i%len(w)], rows)
			i++
		}
		if rows < 32 {
			report(b, float64(w[0].Bytes()), "GB/s", func() float64 { return readLimit(b, threads) }, run)
		} else {
			report(b, 2*float64(rows)*float64(out)*float64(k), "GOP/s", func() float64 { return intLimit(variant, f, threads) }, run)
		}
	})
}
