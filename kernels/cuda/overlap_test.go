//go:build linux && amd64 && !nocuda

package cuda

import (
	"log/slog"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
)

// TestOverlapLayout: the driver's structs, as cuda.h lays them out.
func TestOverlapLayout(t *testing.T) {
	var c launchConfig
	var a launchAttribute
	if s := unsafe.Sizeof(c); s != 56 || unsafe.Offsetof(c.stream) != 32 || unsafe.Offsetof(c.attributes) != 40 || unsafe.Offsetof(c.n) != 48 {
		t.Errorf("CUlaunchConfig of %d bytes: %d, %d, %d", s, unsafe.Offsetof(c.stream), unsafe.Offsetof(c.attributes), unsafe.Offsetof(c.n))
	}
	if s := unsafe.Sizeof(a); s != 72 || unsafe.Offsetof(a.value) != 8 {
		t.Errorf("CUlaunchAttribute of %d bytes: %d", s, unsafe.Offsetof(a.value))
	}
}

// TestOverlap: launches begin before those ahead of them have ended where the device and
// its driver can have it so, and nobody turned it off; what the driver refuses is logged once and
// done without. Kernels that did not wait would be seen.
func TestOverlap(t *testing.T) {
	if os.Getenv("SULLAE_LIBCUDA") == "" || *onDevice {
		t.Skip("needs the simulated device")
	}
	for _, c := range []struct {
		name string
		env  []string
		want string
	}{
		{"Hopper", nil, "right; early true, then true"},
		{"Ampere", []string{"SULLAE_SIM_CC=80"}, "right; early false, then false"},
		{"off", []string{"SULLAE_CUDA_PDL=0"}, "right; early false, then false"},
		{"neither on nor off", []string{"SULLAE_CUDA_PDL=yes"}, `SULLAE_CUDA_PDL is "yes": want 0 or 1`},
		{"an older driver's graphs", []string{"SULLAE_SIM_DRIVER=12020"}, "right; early true, then false"},
		{"code for all devices", []string{"SULLAE_SIM_REFUSE=sm_90a"}, "right; early false, then false"},
		{"graphs refused", []string{"SULLAE_SIM_PLAIN_GRAPHS=1"}, "right; early true, then false, warnings 1"},
		{"capture refused", []string{"SULLAE_SIM_FAIL=cuStreamEndCapture:1:801"}, "right; early true, then false, warnings 1"},
		{"refused", []string{"SULLAE_SIM_FAIL=cuLaunchKernelEx:1:801"}, "right; early false, then false, warnings 1"},
		{"no waiting", []string{"SULLAE_SIM_UNAWAITED=1"}, "wrong"},
		{"lost", []string{"SULLAE_SIM_FAIL=cuLaunchKernelEx:2:700"}, "cuLaunchKernelEx: CUDA_ERROR_ILLEGAL_ADDRESS (700)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := child("^TestOverlapChild$", append(c.env, "SULLAE_TEST_OVERLAP=1")...)
			if err != nil || !strings.Contains(out, c.want) {
				t.Errorf("%v, want %q in:\n%s", err, c.want, out)
			}
		})
	}
}

// TestOverlapChild is one process of TestOverlap: launches of which each needs the one
// before, by themselves, then as a graph.
func TestOverlapChild(t *testing.T) {
	if os.Getenv("SULLAE_TEST_OVERLAP") == "" {
		t.Skip("a part of TestOverlap")
	}
	warnings := &strings.Builder{}
	b, err := New(Config{Log: slog.New(slog.NewTextHandler(warnings, nil))})
	if err != nil {
		t.Log(err)
		return
	}
	defer b.Close()
	x, err := b.Alloc(1000)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Free()
	one, err := b.Alloc(1)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Free()
	if err := b.Upload(one, []float32{1}); err != nil {
		t.Fatal(err)
	}
	want, graphs := float32(0), 0
	var early [2]uint64
	for i := range 6 {
		for range 3 { // x = 2 x + 1
			b.Scale(x, 2)
			b.AddBias(x, one, 1000)
			want = 2*want + 1
		}
		before := begunEarly(t)
		if err := b.Sync(); err != nil {
			t.Log(err)
			return
		}
		early[min(b.graphs.launched, 1)] += begunEarly(t) - before
		graphs = b.graphs.launched
		if i < 1 && graphs > 0 || i >= 1 && graphs != i {
			t.Errorf("turn %d: %d graphs", i, graphs)
		}
	}
	got := make([]float32, 1000)
	if err := b.Download(got, x); err != nil {
		t.Fatal(err)
	}
	for _, v := range got {
		if v != want {
			t.Logf("wrong: %v, want %v", v, want)
			return
		}
	}
	t.Logf("right; early %v, then %v, warnings %d", early[0] > 0, early[1] > 0, strings.Count(warnings.String(), "refuses launches that overlap"))
}

// begunEarly is how many blocks the simulated device has let begin early.
func begunEarly(t *testing.T) uint64 {
	lib, err := purego.Dlopen(os.Getenv("SULLAE_LIBCUDA"), purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		t.Fatal(err)
	}
	f, err := purego.Dlsym(lib, "sim_begun_early")
	if err != nil {
		t.Fatal(err)
	}
	n, _, _ := purego.SyscallN(f)
	return uint64(n)
}
