package shmlink

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/sullae/sullae/collective/link"
)

// Sizes of the memory that two ranks share: a page of counters, then the bytes of
// the two rings. What is longer than a ring goes through it in pieces.
const (
	ringBytes    = 1 << 20 // a power of two; beyond the chunk of a frame
	counterBytes = 4096
	regionBytes  = counterBytes + 2*ringBytes
)

// counters are one ring's words in shared memory, each in a cache line of its own.
// All are read and written by atomic operations alone.
type counters struct {
	written atomic.Uint64 // bytes ever written; the writer's
	_       [120]byte
	read    atomic.Uint64 // bytes ever read; the reader's
	_       [120]byte
	// readerWaits and writerWaits ask the other side to ring whenever it has written or
	// read. Who waits sets and clears them, and nobody else: were they cleared by who
	// rings, it might clear what was set for the next wait.
	readerWaits atomic.Uint32
	_           [124]byte
	writerWaits atomic.Uint32
	_           [124]byte
}

// ring is one side's view of a run of bytes from one process to another: the
// writer's or the reader's. It keeps its own counter itself and believes the other
// side's only within the ring's size, so that whatever the other process writes
// is an error at worst.
type ring struct {
	shared *counters
	data   []byte
	pos    uint64 // bytes that this side has written, or read
}

// rings are both directions in region, which is regionBytes long and zeroed. The
// acceptor writes into the first one.
func rings(region []byte) (first, second *ring) {
	at := func(i int) *ring {
		lo := counterBytes + i*ringBytes
		return &ring{
			shared: (*counters)(unsafe.Pointer(&region[i*int(unsafe.Sizeof(counters{}))])),
			data:   region[lo : lo+ringBytes : lo+ringBytes],
		}
	}
	return at(0), at(1)
}

// put writes as much of p as there is room for.
func (r *ring) put(p []byte) (int, error) {
	used := r.pos - r.shared.read.Load()
	if used > uint64(len(r.data)) {
		return 0, fmt.Errorf("%w: the peer has read %d bytes of %d", link.ErrCorrupt, r.pos-used, r.pos)
	}
	n := min(len(p), len(r.data)-int(used))
	lo := int(r.pos & uint64(len(r.data)-1))
	k := copy(r.data[lo:], p[:n])
	copy(r.data, p[k:n])
	r.pos += uint64(n)
	return n, nil
}

// publish shows the reader what was put, and reports whether it wants the bell.
func (r *ring) publish() bool {
	r.shared.written.Store(r.pos)
	return r.shared.readerWaits.Load() != 0
}

// get reads up to len(p) bytes.
func (r *ring) get(p []byte) (int, error) {
	there := r.shared.written.Load() - r.pos
	if there == 0 {
		return 0, nil
	}
	if there > uint64(len(r.data)) {
		return 0, fmt.Errorf("%w: the peer says that %d bytes wait in a ring of %d", link.ErrCorrupt, there, len(r.data))
	}
	n := int(min(uint64(len(p)), there))
	lo := int(r.pos & uint64(len(r.data)-1))
	k := copy(p[:n], r.data[lo:])
	copy(p[k:n], r.data)
	r.pos += uint64(n)
	return n, nil
}

// free gives the writer the room of what was got, and reports whether it wants the
// bell.
func (r *ring) free() bool {
	r.shared.read.Store(r.pos)
	return r.shared.writerWaits.Load() != 0
}
