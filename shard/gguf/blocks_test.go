package gguf_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/shard/modeltest"
)

// TestBlocks holds the decoders to the formats' definitions, bit for bit: scales
// and codes as kernels.Coding takes them give each value that modeltest finds bit
// by bit. Blocks are random, and of all ones and zeros.
func TestBlocks(t *testing.T) {
	for typ, shape := range modeltest.GGMLTypes {
		t.Run(fmt.Sprint(typ), func(t *testing.T) {
			b, err := typ.Block()
			if err != nil || b.Values != shape.Values || b.Bytes != shape.Bytes {
				t.Fatalf("%+v, %v; want %+v", b, err, shape)
			}
			rng := rand.New(rand.NewPCG(1, uint64(typ)))
			coding := kernels.Runs(b.Scale, b.Offsets, b.Values, b.Group)
			if err := coding.Check(b.Code, b.Values); err != nil {
				t.Fatal(err)
			}
			codes := make([]byte, b.Values)
			scales, offsets := make([]float32, coding.N), make([]float32, coding.N)
			record := make([]byte, b.Code.Bytes(b.Values)+coding.TailBytes())
			got := make([]float32, b.Values)
			for round := range 200 {
				raw := modeltest.RandomBlock(rng, typ, math.Exp2(float64(round%30-20)))
				for i := range raw {
					if h := shape.Halves; round < 2 && i != h[0] && i != h[0]+1 && i != h[len(h)-1] && i != h[len(h)-1]+1 {
						raw[i] = byte(-round)
					}
				}
				b.Decode(raw, codes, scales, offsets)
				coding.Record(record, b.Code, codes, scales, offsets)
				coding.Decode(got, record, b.Code)
				for i, g := range got {
					if want := modeltest.GGMLValue(typ, raw, i); g != want {
						t.Fatalf("round %d, value %d of %x: %v (%#x), want %v (%#x)", round, i, raw, g, math.Float32bits(g), want, math.Float32bits(want))
					}
				}
			}
		})
	}
}
