package cpu

import (
	"testing"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/kerneltest"
)

func newTest(t testing.TB, variant string, threads int) *Backend {
	t.Helper()
	b, err := New(Config{Variant: variant, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestAll(t *testing.T) {
	for _, v := range variants() {
		if raceEnabled && v == portable {
			continue // slow, and shares all but the inner loops
		}
		t.Run(v.name, func(t *testing.T) {
			b := newTest(t, v.name, 0)
			kerneltest.RunAll(t, func(*testing.T) kernels.Backend { return b })
		})
	}
}

// TestSame compares each variant on 1, 2 and 3 threads.
func TestSame(t *testing.T) {
	var all []kernels.Backend
	for _, v := range variants() {
		for threads := 1; threads <= 3; threads++ {
			// Portable is slow; avxvnni shares all but the quantized products.
			if v.name == "avxvnni" && threads != 2 || v == portable && threads == 2 {
				continue
			}
			all = append(all, newTest(t, v.name, threads))
		}
	}
	if raceEnabled {
		all = all[:3]
	}
	kerneltest.RunSame(t, all[0], all[1:]...)
}

// TestDigest pins the class's bits across architectures: two machines of one
// group may differ in theirs. A change of the arithmetic or of kerneltest's
// cases changes it, and nothing else may.
func TestDigest(t *testing.T) {
	const want = 0x849bd6a964a2f05c
	if got := kerneltest.Digest(t, newTest(t, "", 0)); got != want {
		t.Errorf("digest %#x, want %#x", got, uint64(want))
	}
}
