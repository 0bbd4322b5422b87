// Package kerneltest is the suite that every Backend passes: RunAll holds one to
// package reference, within bounds that follow from the number of roundings,
// and to the rules that need no reference (rows are independent, the tree's
// nodes add up to the whole, prompts may be cut anywhere); RunSame holds
// backends of one class to each other, bit for bit.
//
// The data is random from fixed seeds. All values of a case are made before any
// backend sees them, so that a failure repeats.
package kerneltest

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"
	"testing"

	"github.com/sullae/sullae/kernels"
)

// testCase is one computation.
type testCase struct {
	name string
	// run computes on a backend; all outputs, one after another.
	run func(t *testing.T, b kernels.Backend) []float32
	// check holds run's outputs to the reference; nil where another case does.
	check func(t *testing.T, got []float32)
	// rounded, where it is not nil, is check for a backend that rounds the other
	// operand of a product of 16-bit weights (kernels.Info).
	rounded func(t *testing.T, got []float32)
}

func cases() []testCase {
	var list []testCase
	for _, f := range []func() []testCase{matMulCases, quantCases, rowCases, expSumsCases, gatherCases, attentionCases} {
		list = append(list, f()...)
	}
	return list
}

// RunAll tests one backend. newBackend may return the same one each time; it
// registers its own Close.
func RunAll(t *testing.T, newBackend func(t *testing.T) kernels.Backend) {
	runAll(t, newBackend, rules, func(string) bool { return true })
}

// RunSmall is RunAll for a simulated device: the rules that would take it long are
// tried on less. keep says which cases and rules are run, by their names.
func RunSmall(t *testing.T, newBackend func(t *testing.T) kernels.Backend, keep func(name string) bool) {
	small := slices.Clone(rules)
	for i := range small {
		if small[i].small != nil {
			small[i].test = small[i].small
		}
	}
	runAll(t, newBackend, small, keep)
}

func runAll(t *testing.T, newBackend func(t *testing.T) kernels.Backend, rules []rule, keep func(string) bool) {
	for _, c := range cases() {
		if c.check == nil || !keep(c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			b := newBackend(t)
			check := c.check
			if c.rounded != nil && b.Info().Rounds {
				check = c.rounded
			}
			check(t, c.run(t, b))
		})
	}
	for _, r := range rules {
		if !keep(r.name) {
			continue
		}
		t.Run(r.name, func(t *testing.T) { r.test(t, newBackend(t)) })
	}
}

// RunSame tests that the others give the same bits as a. Any NaN equals any NaN.
func RunSame(t *testing.T, a kernels.Backend, others ...kernels.Backend) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			want := c.run(t, a)
			for _, b := range others {
				t.Logf("%+v and %+v", a.Info(), b.Info())
				same(t, c.run(t, b), want)
			}
		})
	}
}

// Digest is a hash of all results of a backend, any NaN taken for any NaN. It is
// one number for all backends of a class, on every architecture, for as long as
// neither the class's arithmetic nor the suite changes.
func Digest(t *testing.T, b kernels.Backend) uint64 {
	h := fnv.New64a()
	var raw [4]byte
	for _, c := range cases() {
		for _, x := range c.run(t, b) {
			u := uint32(0x7fc00000)
			if x == x {
				u = math.Float32bits(x)
			}
			binary.LittleEndian.PutUint32(raw[:], u)
			h.Write(raw[:])
		}
	}
	return h.Sum64()
}

func same(t *testing.T, a, b []float32) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("lengths %d and %d", len(a), len(b))
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) && (a[i] == a[i] || b[i] == b[i]) {
			t.Fatalf("element %d: %v (%#x) and %v (%#x)", i, a[i], math.Float32bits(a[i]), b[i], math.Float32bits(b[i]))
		}
	}
}

// near checks got against want, with tol the bound on each element's absolute
// error. NaN must be NaN; what is infinite, or overflows float32, infinite.
func near(t *testing.T, got []float32, want, tol []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := float64(got[i])
		switch {
		case math.IsNaN(w):
			if !math.IsNaN(g) {
				t.Fatalf("element %d: %v, want NaN", i, g)
			}
		case math.IsInf(float64(float32(w)), 0):
			if g != float64(float32(w)) {
				t.Fatalf("element %d: %v, want %v", i, g, w)
			}
		case !(math.Abs(g-w) <= tol[i]):
			t.Fatalf("element %d: %v, want %v within %g, is off by %g", i, g, w, tol[i], math.Abs(g-w))
		}
	}
}

const (
	eps  = 1.0 / (1 << 24) // largest relative error of one rounding to float32
	tiny = 0x1p-149        // least subnormal: bounds its absolute error
)
