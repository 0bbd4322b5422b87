//go:build linux && amd64 && !nocuda

package cuda

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/kerneltest"
)

var onDevice = flag.Bool("cuda", false, "run on a GPU with its driver, not on the simulator")

// TestMain builds the simulated libcuda, unless the tests are to run on a GPU.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		if *onDevice || os.Getenv("SULLAE_LIBCUDA") != "" {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "sullae-cuda-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		lib := filepath.Join(dir, "libcuda.so")
		if err := buildSimulator(lib); err != nil {
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

// buildSimulator compiles sim/driver.cc with the system's C++ compiler.
func buildSimulator(lib string) error {
	cxx := "g++"
	if _, err := exec.LookPath(cxx); err != nil {
		cxx = "clang++"
		if _, err := exec.LookPath(cxx); err != nil {
			return fmt.Errorf("no C++ compiler for the simulated device: %w", exec.ErrNotFound)
		}
	}
	out, err := exec.Command(cxx, "-std=c++17", "-O2", "-shared", "-fPIC", "-ffp-contract=off", "-fvisibility=hidden", "-mfma", "-o", lib, "sim/driver.cc").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the simulated device: %v\n%s", err, out)
	}
	return nil
}

// open opens the backend, or skips the test.
func open(t testing.TB, cfg Config) *Backend {
	t.Helper()
	if !*onDevice && os.Getenv("SULLAE_LIBCUDA") == "" {
		t.Skip("needs a C++ compiler for the simulated device, or a GPU (-cuda)")
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestAll(t *testing.T) {
	for _, exact := range []bool{true, false} {
		t.Run(fmt.Sprintf("exact=%v", exact), func(t *testing.T) {
			b := open(t, Config{Exact: exact})
			kerneltest.RunAll(t, func(*testing.T) kernels.Backend { return b })
		})
	}
}
