//go:build linux && amd64 && !nocuda

package cuda

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cuda/simtest"
)

// TestFaults: what a driver can fail at is an error that names the call and the
// code, comes from the next Sync, and stays; nothing hangs and nothing panics. A
// process has one driver, so each case is a process of its own.
func TestFaults(t *testing.T) {
	if os.Getenv("SULLAE_LIBCUDA") == "" || *onDevice {
		t.Skip("needs the simulated device")
	}
	for _, c := range []struct {
		name string
		env  []string
		want string
	}{
		{"no driver", []string{"SULLAE_LIBCUDA=/nonexistent/libcuda.so.1"}, "no CUDA device: NVIDIA's driver is not installed"},
		{"old driver", []string{"SULLAE_SIM_DRIVER=11080"}, "the driver speaks CUDA 11.8, 12.0 is needed"},
		{"no device", []string{"SULLAE_SIM_DEVICES=0"}, "no CUDA device: there is a driver, but no GPU that this process may use"},
		{"old device", []string{"SULLAE_SIM_CC=75"}, "has compute capability 7.5, 8.0 is needed"},
		{"no context", []string{"SULLAE_SIM_FAIL=cuDevicePrimaryCtxRetain:1:2"}, "device 0 (simulated device): cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY (2)"},
		{"init", []string{"SULLAE_SIM_FAIL=cuInit:1:100"}, "no CUDA device: cuInit: CUDA_ERROR_NO_DEVICE (100)"},
		{"compile", []string{"SULLAE_SIM_CC=80", "SULLAE_SIM_FAIL=cuModuleLoadDataEx:2:218"}, "compile attention.sm_80.ptx for simulated device"},
		{"code for all devices", []string{"SULLAE_SIM_CC=80", "SULLAE_TEST_TARGET=sm_80"}, "fine, 3 graphs"},
		{"Hopper's code", []string{"SULLAE_TEST_TARGET=sm_90a"}, "fine, 3 graphs"},
		{"Hopper's code refused", []string{"SULLAE_SIM_REFUSE=sm_90a", "SULLAE_TEST_TARGET=sm_80"}, "ptxas fatal: no sm_90a here"},
		{"all code refused", []string{"SULLAE_SIM_CC=80", "SULLAE_SIM_REFUSE=sm_80"}, "compile attention.sm_80.ptx for simulated device: cuModuleLoadDataEx: CUDA_ERROR_INVALID_PTX (218)"},
		{"pinned memory", []string{"SULLAE_SIM_FAIL=cuMemHostAlloc:1:2"}, "pinned memory: cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY (2)"},
		{"out of memory", []string{"SULLAE_SIM_FAIL=cuMemAlloc:2:2"}, "free: cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2)"},
		{"fault", []string{"SULLAE_SIM_FAIL=cuLaunchKernel:2:700"}, "cuLaunchKernel: CUDA_ERROR_ILLEGAL_ADDRESS (700)"},
		{"ECC", []string{"SULLAE_SIM_FAIL=cuStreamSynchronize:1:214"}, "cuStreamSynchronize: CUDA_ERROR_ECC_UNCORRECTABLE (214)"},
		{"copy", []string{"SULLAE_SIM_FAIL=cuMemcpyHtoDAsync:1:719"}, "cuMemcpyHtoDAsync: CUDA_ERROR_LAUNCH_FAILED (719)"},
		{"event", []string{"SULLAE_SIM_FAIL=cuEventSynchronize:1:719"}, "cuEventSynchronize: CUDA_ERROR_LAUNCH_FAILED (719)"},
		{"fault beside the ops", []string{"SULLAE_SIM_FAIL=cuStreamWaitEvent:2:719"}, "cuStreamWaitEvent: CUDA_ERROR_LAUNCH_FAILED (719)"},
		{"no memory of the host", []string{"SULLAE_SIM_FAIL=cuMemHostAlloc:3:2"}, "pinned memory: cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY (2)"},
		{"no capture", []string{"SULLAE_CUDA_PDL=0", "SULLAE_SIM_FAIL=cuStreamBeginCapture:1:801"}, "fine, 0 graphs"},
		{"no graph", []string{"SULLAE_CUDA_PDL=0", "SULLAE_SIM_FAIL=cuStreamEndCapture:1:801"}, "fine, 0 graphs"},
		{"no memory for a graph", []string{"SULLAE_CUDA_PDL=0", "SULLAE_SIM_FAIL=cuGraphInstantiateWithFlags:1:2"}, "fine, 0 graphs"},
		{"fault in capture", []string{"SULLAE_SIM_FAIL=cuStreamBeginCapture:1:700"}, "cuLaunchKernel: CUDA_ERROR_ILLEGAL_ADDRESS (700)"},
		{"fault in a graph", []string{"SULLAE_SIM_FAIL=cuGraphLaunch:2:719"}, "cuGraphLaunch: CUDA_ERROR_LAUNCH_FAILED (719)"},
		{"none", nil, "fine, 3 graphs launched"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := child("^TestFaultsChild$", append(c.env, "SULLAE_TEST_FAULTS=1")...)
			if err != nil || !strings.Contains(out, c.want) {
				t.Errorf("%v, want %q in:\n%s", err, c.want, out)
			}
		})
	}
}

// TestFaultsChild is one process of TestFaults: a few ops, and what came of them.
func TestFaultsChild(t *testing.T) {
	if os.Getenv("SULLAE_TEST_FAULTS") == "" {
		t.Skip("a part of TestFaults")
	}
	b, err := New(Config{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Log(err)
		return
	}
	if want := os.Getenv("SULLAE_TEST_TARGET"); want != "" && b.device.targets[kernelIndex["probe_mma"]] != want {
		t.Errorf("probe_mma is %s's, not %s's", b.device.targets[kernelIndex["probe_mma"]], want)
	}
	defer func() {
		b.Close()
		if b.err == nil {
			if left := simtest.Left(t); left != 0 {
				t.Errorf("%d bytes, graphs and events are left", left)
			}
		}
	}()
	x, err := b.Alloc(100)
	if err != nil {
		t.Log(err)
		return
	}
	defer x.Free()
	ones := make([]float32, 100)
	for i := range ones {
		ones[i] = 1
	}
	if err := b.Upload(x, ones); err != nil {
		t.Log(err)
	}
	for range 4 { // the second time as a graph
		for range 5 {
			b.Scale(x, 2)
		}
		err = b.Sync()
	}
	if again := b.Sync(); !errors.Is(again, err) {
		t.Errorf("the error was %v, then %v", err, again)
	}
	y, err2 := b.Alloc(1)
	if (err2 == nil) != (err == nil) {
		t.Errorf("after %v memory is had: %v", err, err2)
	}
	if err2 == nil {
		y.Free()
	}
	if err == nil {
		err = there(b, x)
	}
	if err == nil {
		err = b.Download(ones, x)
	}
	if err != nil {
		t.Log(err)
		return
	}
	if ones[0] != 1<<20 || ones[99] != 1<<20 {
		t.Errorf("twenty doublings of 1: %v, %v", ones[0], ones[99])
	}
	t.Logf("fine, %d graphs launched", b.graphs.launched)
}

// there takes a buffer's values to the host and back, beside the ops.
func there(b *Backend, x kernels.Buffer) error {
	h, err := b.NewHostBuffer(x.Len())
	if err != nil {
		return err
	}
	defer h.Free()
	b.Fetch(h, x)
	if err := h.Wait(); err != nil {
		if b.Sync() == nil {
			return errors.New("Wait failed and Sync did not")
		}
		return err
	}
	b.Put(x, h)
	return b.Sync()
}
