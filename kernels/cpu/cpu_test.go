package cpu

import (
	"fmt"
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
		t.Run(v.name, func(t *testing.T) {
			b := newTest(t, v.name, 0)
			kerneltest.RunAll(t, func(*testing.T) kernels.Backend { return b })
		})
	}
}

// TestSame compares each variant and number of threads with the portable form
// on one thread.
func TestSame(t *testing.T) {
	base := newTest(t, "portable", 1)
	for _, v := range variants() {
		for threads := 1; threads <= 3; threads++ {
			if v.name == "portable" && threads != 3 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", v.name, threads), func(t *testing.T) {
				kerneltest.RunSame(t, base, newTest(t, v.name, threads))
			})
		}
	}
}
