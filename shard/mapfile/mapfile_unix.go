//go:build unix

// Package mapfile maps files into memory, read-only.
package mapfile

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Map maps a file. Its reads are announced (WillNeed) rather than
// guessed by the system, which would read ahead into other ranks' units.
func Map(f *os.File, size int64) ([]byte, error) {
	if size > math.MaxInt {
		return nil, unix.EFBIG
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	_ = unix.Madvise(data, unix.MADV_RANDOM) // only advice
	return data, nil
}

// Unmap gives a mapping back.
func Unmap(data []byte) error { return unix.Munmap(data) }

// announceStep is the most that one call announces: Linux cuts longer ranges to
// the device's read-ahead, which is 128 KiB by default, without a word.
const announceStep = 128 << 10

// WillNeed starts reading the pages of bytes [off, off+n).
func WillNeed(data []byte, off, n int64) {
	end := off + n
	off -= off % int64(os.Getpagesize())
	for ; off < end; off += announceStep {
		_ = unix.Madvise(data[off:min(off+announceStep, end)], unix.MADV_WILLNEED) // only advice
	}
}

// Drop gives the pages of bytes [off, off+n) back to the system; they are read
// again, most likely from its cache, where they are touched again.
func Drop(data []byte, off, n int64) {
	end := off + n
	off -= off % int64(os.Getpagesize())
	_ = unix.Madvise(data[off:end], unix.MADV_DONTNEED) // only advice: the mapping is read-only
}
