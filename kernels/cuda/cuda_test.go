//go:build linux && amd64 && !nocuda

package cuda

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cuda/simtest"
	"github.com/sullae/sullae/kernels/kerneltest"
	"github.com/sullae/sullae/kernels/tensor"
)

var onDevice = flag.Bool("cuda", false, "run on a GPU with its driver, not on the simulator")

// TestMain builds the simulated libcuda, unless the tests are to run on a GPU. With
// SULLAE_SIM_PTX=1 (make ptx) it runs the PTX itself, else what the sources give on the host.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		if *onDevice || os.Getenv("SULLAE_LIBCUDA") != "" {
			return m.Run()
		}
		lib, err := simtest.Build()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			if errors.Is(err, exec.ErrNotFound) {
				return m.Run() // the tests say that they are skipped
			}
			return 1
		}
		os.Setenv("SULLAE_LIBCUDA", lib)
		return m.Run()
	}())
}

// open opens the backend, or skips the test.
func open(t testing.TB, cfg Config) *Backend {
	t.Helper()
	if !*onDevice && os.Getenv("SULLAE_LIBCUDA") == "" {
		t.Skip("needs a C++ compiler for the simulated device, or a GPU (-cuda)")
	}
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// TestAll runs the suite, in part where the device is simulated: there products
// alone are run in both classes, which have the rest in common.
func TestAll(t *testing.T) {
	for _, exact := range []bool{true, false} {
		t.Run(fmt.Sprintf("exact=%v", exact), func(t *testing.T) {
			b := open(t, Config{Exact: exact})
			same := func(*testing.T) kernels.Backend { return b }
			if *onDevice {
				kerneltest.RunAll(t, same)
				return
			}
			attention := 0
			kerneltest.RunSmall(t, same, func(name string) bool {
				if strings.HasPrefix(name, "Attention/") { // some of them, as the simulator takes long over them
					attention++
					return exact && attention%3 == 0 || !exact && (attention%2 == 0 && strings.Contains(name, "kv=bf16") || attention%3 == 1 && strings.Contains(name, "kv=f16"))
				}
				return exact || strings.Contains(name, "MatMul/BF16") || strings.Contains(name, "MatMul/F16") || strings.Contains(name, "rule/MatMul") || name == "rule/Coded" || name == "rule/Pieces" || name == "rule/Chunking" || name == "rule/Poison"
			})
		})
	}
}

// TestManyRows: a product has the same bits for few rows, dealt chunk by chunk to
// blocks, and for many, dealt leaf by leaf and in turns.
func TestManyRows(t *testing.T) {
	for _, c := range []struct {
		name   string
		dtype  tensor.DType
		format kernels.Format
		exact  bool
		coding *kernels.Coding
	}{{"f32", tensor.F32, kernels.AsStored, true, nil}, {"bf16", tensor.BF16, kernels.AsStored, false, nil},
		{"bf16 exact", tensor.BF16, kernels.AsStored, true, nil}, {"q8", tensor.F32, kernels.Q8, false, nil}, {"q4", tensor.F32, kernels.Q4, false, nil},
		{"u4 in 128", tensor.U4, kernels.AsStored, false, kernels.Runs(tensor.F16, true, 1700, 128)},
		{"i8 in 16", tensor.I8, kernels.AsStored, false, kernels.Runs(tensor.F32, false, 1700, 16)},
		{"f8 in 40", tensor.F8, kernels.AsStored, false, kernels.Runs(tensor.BF16, true, 1700, 40)}} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, Config{Exact: c.exact})
			if want := os.Getenv("SULLAE_TEST_PRODUCTS"); want != "" && b.Products() != want {
				t.Errorf("products of many rows by %s, want %s", b.Products(), want)
			}
			const out, rows = 40, 70
			leaves := []int{0, 700, 1100, 1700}
			k := leaves[len(leaves)-1]
			rng := rand.New(rand.NewPCG(1, 2))
			spec := kernels.WeightSpec{Name: "w", Out: out, K: k, DType: c.dtype, Format: c.format, Leaves: leaves, Coding: c.coding}
			var raw []byte
			for range out {
				raw = append(raw, randomRow(rng, spec)...)
			}
			w, err := b.Pack(spec, stored{raw, spec.RowBytes(0, k)})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Free()
			x := make([]float32, rows*k)
			for i := range x {
				x[i] = rng.Float32() - 0.5
			}
			all := product(t, b, w, x, rows, out)
			for i, rows := range [][]int{{1, 5, 65}, {2, 9, 17, 33}} {
				b.device.processors = 1000 * i // whole leaves, and chunks
				for _, n := range rows {
					got := product(t, b, w, x[:n*k], n, out)
					for i := range got {
						if math.Float32bits(got[i]) != math.Float32bits(all[i]) {
							t.Fatalf("%d rows: element %d is %v, among all %v", n, i, got[i], all[i])
						}
					}
				}
			}
		})
	}
}

// randomRow is a row of random values, as stored.
func randomRow(rng *rand.Rand, spec kernels.WeightSpec) []byte {
	row := make([]byte, spec.RowBytes(0, spec.K))
	if c := spec.Coding; c != nil {
		codes, scales, offsets := make([]byte, spec.K), make([]float32, c.N), make([]float32, c.N)
		for i := range codes {
			codes[i] = byte(rng.IntN(0x7f)) // in e4m3 0x7f is no number
		}
		for g := range scales {
			scales[g], offsets[g] = rng.Float32()-0.5, rng.Float32()-0.5
		}
		c.Record(row, spec.DType, codes, scales, offsets)
		return row
	}
	for i := range spec.K {
		put(row[i*spec.DType.Size():], math.Float32frombits(math.Float32bits(rng.Float32()-0.5)&^0xffff), spec.DType)
	}
	return row
}

type stored struct {
	data     []byte
	rowBytes int
}

func (s stored) ReadRows(dst []byte, row, n, col, cols int) error {
	copy(dst, s.data[row*s.rowBytes:(row+n)*s.rowBytes])
	return nil
}

func product(t *testing.T, b *Backend, w kernels.Weight, x []float32, rows, out int) []float32 {
	t.Helper()
	in, err := b.Alloc(len(x))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Free()
	dst, err := b.Alloc(rows * out)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Free()
	if err := b.Upload(in, x); err != nil {
		t.Fatal(err)
	}
	b.MatMul(dst, in, w, rows)
	got := make([]float32, rows*out)
	if err := b.Download(got, dst); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestFreeQueued: memory is freed behind the ops on it that have not gone to the device.
func TestFreeQueued(t *testing.T) {
	b := open(t, Config{})
	for range 3 {
		x, err := b.Alloc(5000)
		if err != nil {
			t.Fatal(err)
		}
		b.Scale(x, 2)
		x.Free()
		if err := b.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

// child runs tests, by a pattern, in a process of its own, since a process has one driver: on a
// simulated Hopper, unless env says otherwise.
func child(pattern string, env ...string) (output string, err error) {
	cmd := exec.Command(os.Args[0], "-test.run="+pattern, "-test.v")
	cmd.Env = append(append(os.Environ(), "SULLAE_SIM_CC=90"), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// uploaded is a buffer of n values, the first of them v, for the test.
func uploaded(t *testing.T, b *Backend, n int, v []float32) kernels.Buffer {
	t.Helper()
	x, err := b.Alloc(n)
	if err == nil {
		err = b.Upload(x, v)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Free)
	return x
}
