//go:build !noasm

package cpu

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/cpu"
)

func needAVX2(t *testing.T) {
	t.Helper()
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA || !cpu.X86.HasF16C {
		t.Skip("this CPU lacks AVX2, FMA or F16C")
	}
}

// TestFMAHardware holds fma32 to the instruction, NaN, infinities, subnormals
// and the sign of zero included.
func TestFMAHardware(t *testing.T) {
	needAVX2(t)
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 1 << 10
	x, y, z, got := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	rounds := 3_000
	if testing.Short() || raceEnabled {
		rounds = 100
	}
	for range rounds {
		for i := range x {
			x[i], y[i], z[i] = hardTriple(rng)
		}
		copy(got, z)
		fmaAVX2(&got[0], &x[0], &y[0], n)
		for i := range x {
			if soft := fma32(x[i], y[i], z[i]); !sameFloat(soft, got[i]) {
				t.Fatalf("fma32(%x, %x, %x) = %x, the CPU gives %x", x[i], y[i], z[i], soft, got[i])
			}
		}
	}
}

// TestAssemblyRegisters: registers 16 to 31 exist with AVX-512 only.
func TestAssemblyRegisters(t *testing.T) {
	files, err := filepath.Glob("*_amd64.s")
	files = slices.DeleteFunc(files, func(f string) bool { return strings.Contains(f, "512") })
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	high := regexp.MustCompile(`\b(Z\d+|[XY](1[6-9]|2\d|3[01])|K[0-7])\b`)
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if m := high.Find(src); m != nil {
			t.Errorf("%s uses %s", f, m)
		}
	}
}
