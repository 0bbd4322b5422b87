//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"fmt"
	"unsafe"
)

const (
	stagingSlots = 4
	slotBytes    = 4 << 20
)

// staging is pinned memory through which copies go, slot by slot: one is filled, or
// emptied, while others are on their way.
type staging struct {
	host []byte
	next int
	// event is recorded behind a slot's copy, which may be on its way while busy.
	event [stagingSlots]uintptr
	busy  [stagingSlots]bool
}

// pinned allocates memory that the device copies from and to by itself.
func (b *Backend) pinned(n int) ([]byte, error) {
	d := b.device
	defer d.enter()()
	var p unsafe.Pointer
	if err := d.call("cuMemHostAlloc", d.cuMemHostAlloc, uintptr(unsafe.Pointer(&p)), uintptr(n), 0); err != nil {
		return nil, fmt.Errorf("pinned memory: %w", err)
	}
	return unsafe.Slice((*byte)(p), n), nil
}

func (b *Backend) unpin(m []byte) {
	if m == nil {
		return
	}
	d := b.device
	defer d.enter()()
	_ = d.call("cuMemFreeHost", d.cuMemFreeHost, uintptr(unsafe.Pointer(&m[0])))
}

func (b *Backend) newStaging() (err error) {
	s := &b.staging
	if s.host, err = b.pinned(stagingSlots * slotBytes); err != nil {
		return err
	}
	d := b.device
	defer d.enter()()
	for i := range s.event {
		if err := d.call("cuEventCreate", d.cuEventCreate, uintptr(unsafe.Pointer(&s.event[i])), 2 /* without timing */); err != nil {
			return err
		}
	}
	return nil
}

func (b *Backend) freeStaging() {
	d := b.device
	defer d.enter()()
	for _, e := range b.staging.event {
		if e != 0 {
			_ = d.call("cuEventDestroy", d.cuEventDestroy, e)
		}
	}
	b.unpin(b.staging.host)
}

// slot is the next slot, when its last copy is done.
func (b *Backend) slot() (i int, mem []byte) {
	s := &b.staging
	i = s.next
	s.next = (i + 1) % stagingSlots
	b.arrived(i)
	return i, s.host[i*slotBytes:][:slotBytes]
}

// arrived waits for a slot's copy.
func (b *Backend) arrived(i int) {
	if !b.staging.busy[i] || b.err != nil {
		return
	}
	b.staging.busy[i] = false
	d := b.device
	b.note(d.call("cuEventSynchronize", d.cuEventSynchronize, b.staging.event[i]))
}

// sent marks the end of a slot's copy.
func (b *Backend) sent(i int) {
	if b.err != nil {
		return
	}
	d := b.device
	b.note(d.call("cuEventRecord", d.cuEventRecord, b.staging.event[i], d.stream))
	b.staging.busy[i] = true
}

// copyIn queues a copy of bytes to the device, behind all ops before it; src may be
// reused at once.
func (b *Backend) copyIn(dst uint64, src []byte) {
	b.settle()
	b.submit()
	defer b.device.enter()()
	for len(src) > 0 && b.err == nil {
		i, mem := b.slot()
		n := copy(mem, src)
		b.htod(dst, mem[:n])
		b.sent(i)
		dst, src = dst+uint64(n), src[n:]
	}
}

// copyOut waits for all ops before it and copies bytes from the device: one part is
// copied out of its slot while the next is on its way into another.
func (b *Backend) copyOut(dst []byte, src uint64) {
	b.settle()
	b.submit()
	defer b.device.enter()()
	d := b.device
	type part struct {
		slot int
		to   []byte
	}
	var last *part
	take := func(p *part) {
		if p != nil {
			b.arrived(p.slot)
			copy(p.to, b.staging.host[p.slot*slotBytes:])
		}
	}
	for len(dst) > 0 && b.err == nil {
		i, mem := b.slot()
		n := min(len(dst), slotBytes)
		b.note(d.call("cuMemcpyDtoHAsync", d.cuMemcpyDtoHAsync, uintptr(unsafe.Pointer(&mem[0])), uintptr(src), uintptr(n), d.stream))
		b.sent(i)
		take(last)
		last = &part{i, dst[:n]}
		dst, src = dst[n:], src+uint64(n)
	}
	take(last)
	b.idle = true // the stream does one thing after the other
}
