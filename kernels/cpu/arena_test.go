package cpu

import (
	"testing"
)

// TestArena: regions of one mapping do not overlap, are zero when they are given out
// again, and the mapping goes with its last region.
func TestArena(t *testing.T) {
	var a arena
	take := func(n int) *region {
		r, err := a.region(n)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.data) != n || cap(r.data) != n {
			t.Fatalf("%d bytes of %d where %d were wanted", len(r.data), cap(r.data), n)
		}
		for i, x := range r.data {
			if x != 0 {
				t.Fatalf("byte %d of %d is %d", i, n, x)
			}
			r.data[i] = 0xff
		}
		return r
	}
	sizes := []int{1, smallPage, smallPage + 1, 3 << 20, arenaBytes / 4, 0, 5 << 20, arenaBytes/4 + 1}
	for range 3 {
		var held []*region
		for i := range 16 {
			held = append(held, take(sizes[i%len(sizes)]))
		}
		m := a.open
		for i := range held {
			held[(i*7)%len(held)].Free()
		}
		if m.regions != 0 || a.open == m || m.data != nil {
			t.Fatalf("a mapping with %d regions is kept when all are freed", m.regions)
		}
	}
}
