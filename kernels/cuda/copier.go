//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"unsafe"

	"github.com/sullae/sullae/kernels"
)

var _ kernels.Copier = (*Backend)(nil)

// hostBuffer is pinned memory with an event behind its last copy.
type hostBuffer struct {
	b     *Backend
	mem   []byte
	event uintptr
	err   error // why the last copy was not begun
}

// NewHostBuffer implements kernels.Copier.
func (b *Backend) NewHostBuffer(n int) (_ kernels.HostBuffer, err error) {
	if b.err != nil {
		return nil, b.err
	}
	h := &hostBuffer{b: b}
	d := b.device
	defer d.enter()()
	if b.copies == 0 {
		if err := d.call("cuStreamCreate", d.cuStreamCreate, uintptr(unsafe.Pointer(&b.copies)), 1 /* non-blocking */); err != nil {
			return nil, err
		}
		if err := d.call("cuEventCreate", d.cuEventCreate, uintptr(unsafe.Pointer(&b.reached)), 2 /* without timing */); err != nil {
			return nil, err
		}
	}
	if err := d.call("cuEventCreate", d.cuEventCreate, uintptr(unsafe.Pointer(&h.event)), 2); err != nil {
		return nil, err
	}
	if h.mem, err = b.pinned(max(4*n, 4)); err != nil {
		h.Free()
		return nil, err
	}
	return h, nil
}

func (h *hostBuffer) Floats() []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(&h.mem[0])), len(h.mem)/4)
}

// Wait implements kernels.HostBuffer. An error is the device's end; the next op finds
// it too.
func (h *hostBuffer) Wait() error {
	if h.err != nil {
		return h.err
	}
	d := h.b.device
	defer d.enter()()
	return d.call("cuEventSynchronize", d.cuEventSynchronize, h.event)
}

func (h *hostBuffer) Free() {
	d := h.b.device
	defer d.enter()()
	_ = d.call("cuEventDestroy", d.cuEventDestroy, h.event)
	h.b.unpin(h.mem)
	h.mem = nil
}

// copy queues a copy on the stream of copies, behind what that has, and marks its end.
func (b *Backend) copy(h *hostBuffer, call string, f uintptr, to, from uintptr, n int) {
	d := b.device
	if b.err == nil && n > 0 {
		b.note(d.call(call, f, to, from, uintptr(n), b.copies))
	}
	if b.err == nil {
		b.note(d.call("cuEventRecord", d.cuEventRecord, h.event, b.copies))
	}
	h.err = b.err
}

// follow has a stream wait for an event.
func (b *Backend) follow(stream, event uintptr) {
	if b.err == nil {
		d := b.device
		b.note(d.call("cuStreamWaitEvent", d.cuStreamWaitEvent, stream, event, 0))
	}
}

// Fetch implements kernels.Copier.
func (b *Backend) Fetch(dst kernels.HostBuffer, src kernels.Buffer) {
	h, from := dst.(*hostBuffer), dev(src)
	must(4*from.n <= len(h.mem), "Fetch", "%d values into %d bytes", from.n, len(h.mem))
	defer b.timeCopy()()
	b.settle()
	b.submit()
	d := b.device
	defer d.enter()()
	if b.err == nil {
		b.note(d.call("cuEventRecord", d.cuEventRecord, b.reached, d.stream))
	}
	b.follow(b.copies, b.reached)
	b.copy(h, "cuMemcpyDtoHAsync", d.cuMemcpyDtoHAsync, uintptr(unsafe.Pointer(&h.mem[0])), uintptr(from.at), 4*from.n)
	if b.timed {
		b.follow(d.stream, h.event)
	}
}

// Put implements kernels.Copier.
func (b *Backend) Put(dst kernels.Buffer, src kernels.HostBuffer) {
	h, to := src.(*hostBuffer), dev(dst)
	must(4*to.n <= len(h.mem), "Put", "%d values of %d bytes", to.n, len(h.mem))
	defer b.timeCopy()()
	b.settle()
	b.submit()
	d := b.device
	defer d.enter()()
	b.idle = false
	b.copy(h, "cuMemcpyHtoDAsync", d.cuMemcpyHtoDAsync, uintptr(to.at), uintptr(unsafe.Pointer(&h.mem[0])), 4*to.n)
	b.follow(d.stream, h.event)
}

func (b *Backend) freeCopies() {
	d := b.device
	defer d.enter()()
	if b.reached != 0 {
		_ = d.call("cuEventDestroy", d.cuEventDestroy, b.reached)
	}
	if b.copies != 0 {
		_ = d.call("cuStreamDestroy", d.cuStreamDestroy, b.copies)
	}
}
