//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"fmt"
	"unsafe"

	"github.com/sullae/sullae/kernels"
)

// memory is an allocation on the device.
type memory struct {
	b    *Backend
	at   uint64
	size int
}

func (b *Backend) alloc(size int) (*memory, error) {
	if b.err != nil {
		return nil, b.err
	}
	m := &memory{b: b, size: max(size, 4)}
	defer b.device.enter()()
	d := b.device
	if err := d.call("cuMemAlloc", d.cuMemAlloc, uintptr(unsafe.Pointer(&m.at)), uintptr(m.size)); err != nil {
		if e, ok := err.(*Error); ok && e.Code == codeOutOfMemory {
			free, total := b.memInfo()
			return nil, fmt.Errorf("%d bytes on the device, which has %d of %d free: %w", size, free, total, err)
		}
		return nil, err
	}
	b.held.Add(int64(m.size))
	return m, nil
}

// memInfo is the device's free memory and all of it, in bytes.
func (b *Backend) memInfo() (free, total uint64) {
	d := b.device
	_ = d.call("cuMemGetInfo", d.cuMemGetInfo, uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&total)))
	return free, total
}

func (m *memory) free() {
	if m == nil || m.at == 0 {
		return
	}
	if b := m.b; b.pass != nil || len(b.turns) > 0 || b.queue.calls > 0 {
		b.wait() // what has not gone to the device may use it; for what has, the driver waits
	}
	defer m.b.device.enter()()
	m.b.graphs.drop(m.b)
	_ = m.b.device.call("cuMemFree", m.b.device.cuMemFree, uintptr(m.at)) // a lost context frees by itself
	m.b.held.Add(int64(-m.size))
	m.at = 0
}

// clear fills with zero bytes.
func (m *memory) clear() {
	m.b.settle()
	m.b.submit()
	m.b.idle = false
	d := m.b.device
	defer d.enter()()
	m.b.note(d.call("cuMemsetD8Async", d.cuMemsetD8Async, uintptr(m.at), 0, uintptr(m.size), d.stream))
}

// buffer is n float32 values of an allocation.
type buffer struct {
	mem  *memory
	at   uint64
	n    int
	base bool // Free frees the allocation
}

func (f *buffer) Len() int { return f.n }

func (f *buffer) Slice(off, n int) kernels.Buffer {
	must(off >= 0 && n >= 0 && off+n <= f.n, "Slice", "[%d, %d) of %d", off, off+n, f.n)
	return &buffer{mem: f.mem, at: f.at + uint64(4*off), n: n}
}

func (f *buffer) Free() {
	if f.base {
		f.mem.free()
	}
}

func dev(b kernels.Buffer) *buffer { return b.(*buffer) }

// Alloc returns n zeroed float32 values.
func (b *Backend) Alloc(n int) (kernels.Buffer, error) {
	m, err := b.alloc(4 * n)
	if err != nil {
		return nil, err
	}
	m.clear()
	return &buffer{mem: m, at: m.at, n: n, base: true}, nil
}

// wait waits for all that is queued.
func (b *Backend) wait() {
	b.settle()
	b.submit()
	b.idle = true
	if b.err != nil {
		return
	}
	d := b.device
	defer d.enter()()
	b.note(d.call("cuStreamSynchronize", d.cuStreamSynchronize, d.stream))
}

// htod queues a copy out of pinned memory.
func (b *Backend) htod(dst uint64, part []byte) {
	if b.err != nil || len(part) == 0 {
		return
	}
	d := b.device
	defer d.enter()()
	b.idle = false
	b.note(d.call("cuMemcpyHtoDAsync", d.cuMemcpyHtoDAsync, uintptr(dst), uintptr(unsafe.Pointer(&part[0])), uintptr(len(part)), d.stream))
}

func bytesOf[T any](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

// Upload copies src to dst[:len(src)].
func (b *Backend) Upload(dst kernels.Buffer, src []float32) error {
	must(len(src) <= dst.Len(), "Upload", "%d values into %d", len(src), dst.Len())
	defer b.timeCopy()()
	b.copyIn(dev(dst).at, bytesOf(src))
	return b.err
}

// Download waits for the ops before it and copies src to dst[:src.Len()].
func (b *Backend) Download(dst []float32, src kernels.Buffer) error {
	must(src.Len() <= len(dst), "Download", "%d values into %d", src.Len(), len(dst))
	defer b.timeCopy()()
	b.copyOut(bytesOf(dst[:src.Len()]), dev(src).at)
	return b.err
}

// Host returns nil: the host cannot address the device's memory.
func (b *Backend) Host(kernels.Buffer) []float32 { return nil }

// Sync waits for the ops before it and returns the first error. After one the
// device's memory is lost, and only Close is of use.
func (b *Backend) Sync() error {
	b.wait()
	return b.err
}

// scratch grows a piece of memory for partial results.
func (b *Backend) scratch(m **memory, size int) uint64 {
	if *m != nil && (*m).size >= size {
		return (*m).at
	}
	b.wait() // what is queued may still use it
	(*m).free()
	var err error
	if *m, err = b.alloc(size); err != nil {
		b.note(err)
		return 0
	}
	return (*m).at
}
