package cpu

import "sync"

// arenaBytes is the size of what an arena maps at a time. A page of it is used when
// it is first written.
const arenaBytes = 64 << 20

// arena cuts regions that live long, such as weights, from mappings that many
// share: the last huge page of a mapping of its own would be half empty on average,
// which is a sixth of a share whose matrices have some megabytes. Its methods may be
// called by several goroutines.
type arena struct {
	mu   sync.Mutex
	open *mapping // that the next region is cut from; nil: a new one
}

// mapping is what regions are cut from, front to back.
type mapping struct {
	*region
	used    int
	regions int // that are not freed
}

// region is newRegion, but for where the bytes lie.
func (a *arena) region(n int) (*region, error) {
	if n > arenaBytes/4 {
		return newRegion(n)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open == nil || len(a.open.data)-a.open.used < n {
		r, err := mapRegion(arenaBytes)
		if err != nil {
			return nil, err
		}
		a.open = &mapping{region: r}
	}
	m := a.open
	data := m.data[m.used : m.used+n : m.used+n]
	m.used = min(m.used+(n+smallPage-1)&^(smallPage-1), len(m.data)) // so that a region is given back whole
	m.regions++
	return &region{data: data, free: func() { a.free(m, data) }}, nil
}

// free gives a region's pages back, and its mapping's if it was the last one.
func (a *arena) free(m *mapping, data []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	giveBack(data)
	if m.regions--; m.regions > 0 {
		return
	}
	if m == a.open {
		a.open = nil
	}
	m.Free()
}
