//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// argBytes is the memory for what ops need to know of their rows: positions, block
// tables, lists of products.
const argBytes = 16 << 20

// args are small arrays on the device that ops read. In each step they are sent in the
// same order, so that each lies where that of the step before lay: launches have the
// same parameters then, and what has not changed is not copied again.
type args struct {
	host   []byte  // pinned
	mirror *memory // the same on the device
	list   []arg   // in the order in which they came
	next   int     // how many of them are this step's
	have   map[uint64]int
	seed   maphash.Seed
}

// arg is an array's place: n bytes at an offset, of room.
type arg struct{ at, n, room int }

// begin starts a step. Nothing may be on its way that reads the last one's arrays.
func (a *args) begin() {
	a.next = 0
	clear(a.have)
}

// send puts an array where ops that are queued next can read it.
func send[T any](b *Backend, v []T) uint64 { return b.args.put(b, bytesOf(v)) }

func (a *args) put(b *Backend, raw []byte) uint64 {
	if len(raw) == 0 {
		return a.mirror.at
	}
	must(len(raw) <= argBytes/4, "send", "%d bytes for an op", len(raw))
	hash := maphash.Bytes(a.seed, raw)
	if i, ok := a.have[hash]; ok && bytes.Equal(a.bytes(i), raw) {
		return a.mirror.at + uint64(a.list[i].at)
	}
	same := a.next < len(a.list) && bytes.Equal(a.bytes(a.next), raw)
	if !same {
		a.place(b, len(raw))
	}
	i := a.next
	a.next++
	a.have[hash] = i
	to := a.mirror.at + uint64(a.list[i].at)
	if !same {
		copy(a.bytes(i), raw)
		b.htod(to, a.bytes(i))
	}
	return to
}

func (a *args) bytes(i int) []byte { return a.host[a.list[i].at:][:a.list[i].n] }

// place makes room for n bytes at a.next: there, if they fit; else behind what this
// step has sent, forgetting the rest.
func (a *args) place(b *Backend, n int) {
	if a.next < len(a.list) && n <= a.list[a.next].room {
		a.list[a.next].n = n
		return
	}
	room := max(256, 1<<bits.Len(uint(n-1))) // so much that a little more fits at the next step
	at := 0
	a.list = a.list[:a.next]
	if a.next > 0 {
		last := a.list[a.next-1]
		at = last.at + last.room
	}
	if at+room > argBytes {
		b.wait() // then nothing reads what was sent
		a.begin()
		a.list, at = a.list[:0], 0
	}
	a.list = append(a.list, arg{at, n, room})
}

// BeginStep implements kernels.Stepper: steps of about as many rows are laid out alike,
// so that they are the same launches.
func (b *Backend) BeginStep(rows int) int {
	if !b.idle {
		b.wait()
	}
	b.args.begin()
	b.stepRows, b.stepPadded = rows, bucket(rows)
	return b.stepPadded
}

// bucket is for how many rows a step is laid out. Beyond 256 prompts are computed, and
// no two steps are alike.
func bucket(rows int) int {
	step := 1
	switch {
	case rows > 256:
	case rows > 128:
		step = 32
	case rows > 16:
		step = 16
	case rows > 8:
		step = 8
	}
	return ceilDiv(rows, step) * step
}
