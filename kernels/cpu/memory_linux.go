package cpu

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	smallPage = 4 << 10
	hugePage  = 2 << 20
)

// mapRegion maps n anonymous bytes whose start is aligned to a huge page: one
// thread reads about a quarter faster from huge pages than from small ones. What is
// over behind the last whole one lies on small pages.
func mapRegion(n int) (*region, error) {
	mem, err := unix.Mmap(-1, 0, n+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("cpu: mapping %d bytes: %w", n, err)
	}
	skip := int(-addr(mem) & (hugePage - 1))
	data := mem[skip : skip+n : skip+n]
	// Advice only: without huge pages the region works, slower.
	whole := n &^ (hugePage - 1)
	_ = unix.Madvise(data[:whole:whole], unix.MADV_HUGEPAGE)
	_ = unix.Madvise(mem[skip+whole:], unix.MADV_NOHUGEPAGE)
	return &region{data: data, free: func() { _ = unix.Munmap(mem) }}, nil
}

// giveBack has the system take the pages of data, which begins at one.
func giveBack(data []byte) { _ = unix.Madvise(data, unix.MADV_DONTNEED) }
