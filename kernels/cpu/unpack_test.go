package cpu

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// stored is a matrix in memory as a RowReader.
type stored struct {
	data     []byte
	rowBytes int
}

func (s stored) ReadRows(dst []byte, row, n int) error {
	copy(dst, s.data[row*s.rowBytes:(row+n)*s.rowBytes])
	return nil
}

// TestUnpack: every rectangle of a packed matrix comes back byte for byte.
func TestUnpack(t *testing.T) {
	b, err := New(Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, d := range []tensor.DType{tensor.F32, tensor.BF16, tensor.F16} {
		for _, shape := range [][2]int{{1, 1}, {64, 8}, {65, 33}, {200, 7}} {
			t.Run(fmt.Sprint(d, shape), func(t *testing.T) {
				out, k, size := shape[0], shape[1], d.Size()
				src := stored{make([]byte, out*k*size), k * size}
				for i := range src.data {
					src.data[i] = byte(rng.Uint32()) & 0x3f // finite in every type
				}
				w, err := b.Pack(kernels.WeightSpec{Name: "w", Out: out, K: k, DType: d}, src)
				if err != nil {
					t.Fatal(err)
				}
				defer w.Free()
				for range 20 {
					row, col := rng.IntN(out), rng.IntN(k)
					n, cols := rng.IntN(out-row+1), rng.IntN(k-col+1)
					got := make([]byte, n*cols*size)
					b.Unpack(got, w, row, n, col, cols)
					for i := range n {
						want := src.data[((row+i)*k+col)*size:][:cols*size]
						if !bytes.Equal(got[i*cols*size:(i+1)*cols*size], want) {
							t.Fatalf("rows %d+%d, columns %d+%d: row %d differs", row, n, col, cols, i)
						}
					}
				}
			})
		}
	}
}
