//go:build linux && amd64 && !nocuda

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

// wideBackend opens a backend that uses wgmma, or skips the test.
func wideBackend(t *testing.T) *Backend {
	b := open(t, Config{})
	if !b.wide.on {
		if b.device.cc == 90 && os.Getenv("SULLAE_CUDA_WGMMA") != "0" {
			t.Fatalf("no wgmma: %s", b.wide.why)
		}
		t.Skip(b.wide.why)
	}
	return b
}

// TestWide: products by wgmma have the bits of those by mma.sync: rows and outputs that
// fill no tile, several matrices at once, leaves of one chunk and of more, summed as
// ranges and by the tree, trees whose sums fit in shared memory and not.
func TestWide(t *testing.T) {
	b := wideBackend(t)
	rng := rand.New(rand.NewPCG(9, 10))
	for _, c := range []struct {
		rows   int
		outs   []int
		leaves []int
		nodes  []tree.Range
	}{
		{65, []int{40}, []int{0, 33}, nil},
		{130, []int{100, 130, 16}, []int{0, 560}, nil},
		{200, []int{16}, []int{0, 64}, nil},
		{129, []int{136}, []int{0, 520, 550, 600}, nil},
		{70, []int{20}, append(steps(18, 32), 600), nil},
		{66, []int{150}, steps(33, 32), []tree.Range{{Lo: 0, Hi: 16}, {Lo: 16, Hi: 32}, {Lo: 32, Hi: 33}}},
		{66, []int{16}, []int{0, 513, 600, 680, 720, 730, 740, 800, 1313, 1400}, nil},
	} {
		t.Run(fmt.Sprint(c.rows, "x", c.outs, " ", len(c.leaves)-1, " leaves ", len(c.nodes), " nodes"), func(t *testing.T) {
			k, nodes := c.leaves[len(c.leaves)-1], max(len(c.nodes), 1)
			x, err := b.Alloc(c.rows * k)
			if err != nil {
				t.Fatal(err)
			}
			defer x.Free()
			values := make([]float32, c.rows*k)
			for i := range values {
				values[i] = rng.Float32() - 0.5
			}
			if err := b.Upload(x, values); err != nil {
				t.Fatal(err)
			}
			var list []kernels.Product
			for _, out := range c.outs {
				raw := make([]byte, 2*out*k)
				for i := range out * k {
					put(raw[2*i:], rng.Float32()-0.5, tensor.F16)
				}
				w, err := b.Pack(kernels.WeightSpec{Name: "w", Out: out, K: k, DType: tensor.F16, Leaves: c.leaves, Nodes: c.nodes}, rowsOf{raw, 2 * k})
				if err != nil {
					t.Fatal(err)
				}
				defer w.Free()
				dst, err := b.Alloc(nodes * c.rows * out)
				if err != nil {
					t.Fatal(err)
				}
				defer dst.Free()
				list = append(list, kernels.Product{Dst: dst, W: w})
			}
			defer func(p int, w wide) { b.device.processors, b.wide = p, w }(b.device.processors, b.wide)
			run := func(on bool, worth, processors int) (all [][]float32) {
				b.wide.on, b.wide.worth, b.device.processors = on, worth, processors
				b.MatMuls(x, c.rows, list...)
				for _, p := range list {
					got := make([]float32, p.Dst.Len())
					if err := b.Download(got, p.Dst); err != nil {
						t.Fatal(err)
					}
					b.Scale(p.Dst, float32(math.NaN())) // what is not written again is seen
					all = append(all, got)
				}
				if err := b.Sync(); err != nil {
					t.Fatal(err)
				}
				return all
			}
			want := run(false, never, 4)
			for _, way := range []struct{ worth, processors int }{
				{never, 4},                 // leaves, by the tree where there are more
				{always, 4}, {never, 1000}, // chunks
			} {
				if way.worth == always && len(c.leaves) > 2 {
					continue
				}
				got := run(true, way.worth, way.processors)
				for i := range want {
					for j := range want[i] {
						if math.Float32bits(got[i][j]) != math.Float32bits(want[i][j]) {
							t.Fatalf("%v, product %d: element %d is %v, by mma.sync %v", way, i, j, got[i][j], want[i][j])
						}
					}
				}
			}
		})
	}
}

// TestWideTimed: the kernels are timed, one of them is chosen, and nothing is left.
func TestWideTimed(t *testing.T) {
	b := wideBackend(t)
	held := b.held.Load()
	defer func(p int, w wide) { b.device.processors, b.wide = p, w }(b.device.processors, b.wide)
	b.device.processors = 16
	if err := b.timeWide("", 32, 192); err != nil {
		t.Fatal(err)
	}
	if b.wide.on == (b.wide.why != "") || b.wide.patience != forEver {
		t.Errorf("chosen: %+v", b.wide)
	}
	scratch := 0
	for _, m := range []*memory{b.parts, b.rounded, b.scales} {
		if m != nil {
			scratch += m.size
		}
	}
	if got := b.held.Load(); got > held+int64(scratch) {
		t.Errorf("%d bytes are held, %d before, and %d of scratch", got, held, scratch)
	}
}

// TestWideLeftOut: where wgmma adds in another order, where the driver refuses its code,
// and where it is not wanted, products are mma.sync's.
func TestWideLeftOut(t *testing.T) {
	if os.Getenv("SULLAE_LIBCUDA") == "" || *onDevice {
		t.Skip("needs the simulated device")
	}
	for _, c := range []struct{ env, products, want string }{
		{"SULLAE_SIM_WGMMA=other", "mma.sync", "sums have other bits than mma.sync's"},
		{"SULLAE_SIM_REFUSE=sm_90a", "mma.sync", "the driver did not compile it"},
		{"SULLAE_CUDA_WGMMA=0", "mma.sync", "SULLAE_CUDA_WGMMA=0"},
		{"SULLAE_SIM_CC=80", "mma.sync", ""},
		{"SULLAE_CUDA_WGMMA=192", "wgmma 128x192", ""},
	} {
		t.Run(c.env, func(t *testing.T) {
			out, err := child("^TestManyRows$/^bf16$", "SULLAE_TEST_PRODUCTS="+c.products, c.env)
			if err != nil || !strings.Contains(out, "--- PASS: TestManyRows/bf16") || !strings.Contains(out, c.want) {
				t.Errorf("%v, want %q in:\n%s", err, c.want, out)
			}
		})
	}
}
