//go:build linux && amd64 && !nocuda

// Package simtest lets tests compute on the simulated device (kernels/cuda/sim), and has
// it fail.
package simtest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// libVar names the libcuda that package cuda opens.
const libVar = "SULLAE_LIBCUDA"

// Build is the simulator as a libcuda, compiled with the system's C++ compiler unless another
// test has compiled these sources: the result stays in the user's cache. The error is
// exec.ErrNotFound where there is no compiler.
func Build() (lib string, err error) {
	cxx := "g++"
	if _, err := exec.LookPath(cxx); err != nil {
		cxx = "clang++"
		if _, err := exec.LookPath(cxx); err != nil {
			return "", fmt.Errorf("no C++ compiler for the simulated device: %w", exec.ErrNotFound)
		}
	}
	args := []string{cxx, "-std=c++17", "-O2", "-shared", "-fPIC", "-ffp-contract=off", "-fvisibility=hidden", "-mfma"}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	sum, err := hash(args, filepath.Join(root, "kernels/cuda/sim/*"), filepath.Join(root, "kernels/cuda/src/*"))
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "sullae-simulator")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close() // and gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	lib = filepath.Join(dir, sum+".so")
	if _, err := os.Stat(lib); err == nil {
		return lib, nil
	}
	forget(dir)
	out, err := exec.Command(cxx, append(args[1:], "-o", lib+".new", filepath.Join(root, "kernels/cuda/sim/driver.cc"))...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the simulated device: %v\n%s", err, out)
	}
	return lib, os.Rename(lib+".new", lib)
}

// hash is of a command and of files.
func hash(command []string, patterns ...string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, command)
	for _, p := range patterns {
		files, err := filepath.Glob(p)
		if err != nil {
			return "", err
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return "", err
			}
			fmt.Fprintln(h, filepath.Base(f), len(text))
			h.Write(text)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12]), nil
}

// forget removes what was built of other sources, a day ago or more.
func forget(dir string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.so*"))
	for _, f := range files {
		if s, err := os.Stat(f); err == nil && time.Since(s.ModTime()) > 24*time.Hour {
			os.Remove(f)
		}
	}
}

// moduleRoot is the folder of go.mod: tests run in that of their package.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("no go.mod above this folder: the simulated device's sources are the module's")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// Use has the test, and processes that it starts, compute on the simulated device: on
// the one that SULLAE_LIBCUDA names, else on Build's. It skips the test where there is no
// C++ compiler.
func Use(t testing.TB) {
	t.Helper()
	if os.Getenv(libVar) != "" {
		return
	}
	lib, err := Build()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Setenv(libVar, lib)
}

// symbol is a function of the simulator; the test is skipped on a GPU.
func symbol(t testing.TB, name string) uintptr {
	t.Helper()
	lib, err := purego.Dlopen(os.Getenv(libVar), purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		t.Fatal(err)
	}
	f, err := purego.Dlsym(lib, name)
	if err != nil {
		t.Skip("needs the simulated device")
	}
	return f
}

// Fail repairs this process's device, and makes the nth call of a driver's function fail with a
// code, and after it all calls if the code is that of a fault. "kernel" is the run of
// one, of which later calls tell.
func Fail(t testing.TB, call string, nth, code int) {
	t.Helper()
	withText(symbol(t, "sim_fail"), fmt.Sprintf("%s:%d:%d", call, nth, code))
}

// Repair repairs this process's device; nothing fails on it any more.
func Repair(t testing.TB) {
	t.Helper()
	Fail(t, "", 0, 0)
}

// Calls is how often a call has come since the last Fail or Repair.
func Calls(t testing.TB, call string) int {
	t.Helper()
	return withText(symbol(t, "sim_calls"), call)
}

// withText calls a function that takes a C string.
func withText(f uintptr, text string) int {
	c := append([]byte(text), 0)
	n, _, _ := purego.SyscallN(f, uintptr(unsafe.Pointer(&c[0])))
	runtime.KeepAlive(c)
	return int(n)
}

// Left is what the device still has: bytes of memory, graphs and events.
func Left(t testing.TB) int {
	t.Helper()
	n, _, _ := purego.SyscallN(symbol(t, "sim_left"))
	return int(n)
}
