package kernels_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// TestColumns: the values of some columns, decoded from a record of their own, are
// those of the whole row.
func TestColumns(t *testing.T) {
	const k = 96
	rng := rand.New(rand.NewPCG(1, 2))
	index := make([]int32, k)
	for i := range index {
		index[i] = int32(rng.IntN(5))
	}
	for _, c := range []*kernels.Coding{
		kernels.Runs(tensor.F32, true, k, 32), kernels.Runs(tensor.F16, false, k, 16), kernels.Runs(tensor.BF16, true, k, 20),
		kernels.Runs(tensor.F32, false, k, k), {Scales: tensor.F32, Offsets: true, Index: index, N: 5},
	} {
		for _, d := range []tensor.DType{tensor.I8, tensor.U4, tensor.I4} {
			if err := c.Check(d, k); err != nil {
				t.Fatal(err)
			}
			record := make([]byte, d.Bytes(k)+c.TailBytes())
			for i := range record {
				record[i] = byte(rng.Uint32())
			}
			// The scales must be finite; small ones in every type.
			tail := record[d.Bytes(k):]
			for i := range tail {
				tail[i] &= 0x3f
			}
			whole := make([]float32, k)
			c.Decode(whole, record, d)
			for _, cut := range [][2]int{{0, 96}, {0, 32}, {16, 24}, {40, 56}, {90, 6}, {2, 94}} {
				sub, first := c.Columns(cut[0], cut[1])
				if err := sub.Check(d, cut[1]); err != nil {
					t.Fatal(err)
				}
				part := slices.Clone(record[d.Bytes(cut[0]):d.Bytes(cut[0]+cut[1])])
				size := c.Scales.Size()
				part = append(part, tail[first*size:(first+sub.N)*size]...)
				if c.Offsets {
					part = append(part, tail[c.N*size+4*first:][:4*sub.N]...)
				}
				got := make([]float32, cut[1])
				sub.Decode(got, part, d)
				if !slices.Equal(got, whole[cut[0]:cut[0]+cut[1]]) {
					t.Errorf("%+v of %v, columns %v: %v, want %v", c, d, cut, got, whole[cut[0]:cut[0]+cut[1]])
				}
			}
		}
	}
}

// TestDecode is one row by hand: 16 codes in groups of 8, the second scale 0.5.
func TestDecode(t *testing.T) {
	c := kernels.Runs(tensor.F32, true, 16, 8)
	record := []byte{0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe}
	for _, v := range []float32{2, 0.5, -1, 3} {
		record = binary.LittleEndian.AppendUint32(record, math.Float32bits(v))
	}
	got := make([]float32, 16)
	c.Decode(got, record, tensor.U4)
	want := []float32{-1, 1, 3, 5, 7, 9, 11, 13, 7, 7.5, 8, 8.5, 9, 9.5, 10, 10.5}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestCodingCheck(t *testing.T) {
	good := func() *kernels.Coding { return kernels.Runs(tensor.F32, false, 64, 32) }
	for name, bad := range map[string]func(*kernels.Coding) tensor.DType{
		"plain type":  func(*kernels.Coding) tensor.DType { return tensor.F32 },
		"coded scale": func(c *kernels.Coding) tensor.DType { c.Scales = tensor.I8; return tensor.I8 },
		"no size":     func(c *kernels.Coding) tensor.DType { c.Size = 0; return tensor.I8 },
		"phase":       func(c *kernels.Coding) tensor.DType { c.Phase = 32; return tensor.I8 },
		"groups":      func(c *kernels.Coding) tensor.DType { c.N = 3; return tensor.I8 },
		"index":       func(c *kernels.Coding) tensor.DType { c.Index = []int32{0}; return tensor.I8 },
		"outside":     func(c *kernels.Coding) tensor.DType { c.Index = make([]int32, 64); c.Index[7] = 2; return tensor.I8 },
	} {
		c := good()
		if err := c.Check(bad(c), 64); err == nil {
			t.Errorf("%s: %+v passes", name, c)
		}
	}
	if err := good().Check(tensor.I8, 64); err != nil {
		t.Error(err)
	}
}
