package synth

import (
	"bytes"
	"math"
	"testing"

	"github.com/sullae/sullae/kernels/tensor"
)

// TestFillIsByIndex: a value depends on its index, not on how a tensor is cut
// into chunks.
func TestFillIsByIndex(t *testing.T) {
	for _, d := range []tensor.DType{tensor.F32, tensor.BF16, tensor.F16} {
		s := stream{key: 7, mean: 1, deviation: 0.05}
		whole := make([]byte, 1000*d.Size())
		s.fill(whole, 0, d)
		var parts []byte
		for from := 0; from < 1000; from += 77 {
			part := make([]byte, min(77, 1000-from)*d.Size())
			s.fill(part, uint64(from), d)
			parts = append(parts, part...)
		}
		if !bytes.Equal(whole, parts) {
			t.Errorf("%v: chunks give other values", d)
		}
	}
}

func TestFillDistribution(t *testing.T) {
	for _, d := range []tensor.DType{tensor.F32, tensor.BF16, tensor.F16} {
		raw := make([]byte, 1<<18*d.Size())
		stream{key: 9, deviation: 0.5}.fill(raw, 0, d)
		v := make([]float32, 1<<18)
		tensor.Widen(v, raw, d)
		var sum, square float64
		within := 0 // one deviation
		for _, x := range v {
			sum += float64(x)
			square += float64(x) * float64(x)
			if math.Abs(float64(x)) < 0.5 {
				within++
			}
		}
		n := float64(len(v))
		if mean, dev := sum/n, math.Sqrt(square/n); math.Abs(mean) > 0.005 || math.Abs(dev-0.5) > 0.005 {
			t.Errorf("%v: mean %g, deviation %g", d, mean, dev)
		}
		// 0.683 for a normal, 0.676 for a sum of four uniform numbers.
		if part := float64(within) / n; part < 0.66 || part > 0.70 {
			t.Errorf("%v: %g within one deviation", d, part)
		}
	}
}

// TestHalf: every half survives the way to float32 and back, and midpoints go
// to the even neighbour.
func TestHalf(t *testing.T) {
	for h := range uint16(0x7C00) { // the finite positive ones
		f := tensor.HalfToFloat32(h)
		if got := float32ToHalf(f); got != h {
			t.Fatalf("%#04x: got %#04x", h, got)
		}
		if got := float32ToHalf(-f); got != h|0x8000 {
			t.Fatalf("-%#04x: got %#04x", h, got)
		}
		if h == 0x7BFF {
			break
		}
		mid := (f + tensor.HalfToFloat32(h+1)) / 2 // exact in float32
		if got, want := float32ToHalf(mid), h+h&1; got != want {
			t.Fatalf("midpoint above %#04x: got %#04x, want %#04x", h, got, want)
		}
	}
}

func BenchmarkFill(b *testing.B) {
	for _, d := range []tensor.DType{tensor.F32, tensor.BF16, tensor.F16} {
		b.Run(d.String(), func(b *testing.B) {
			buf := make([]byte, chunkBytes)
			b.SetBytes(chunkBytes)
			s := stream{key: 1, deviation: 0.02}
			for b.Loop() {
				s.fill(buf, 0, d)
			}
		})
	}
}
