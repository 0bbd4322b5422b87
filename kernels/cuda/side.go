//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"sync"
	"unsafe"
)

// side is a stream of its own on which packed weights, which do not change, are read
// beside the ops, from any goroutine.
type side struct {
	mu     sync.Mutex
	stream uintptr
	host   []byte // pinned
}

const sideBytes = 4 << 20

// fetch copies bytes of a weight or table from the device.
func (b *Backend) fetch(dst []byte, at uint64) error {
	s, d := &b.side, b.device
	s.mu.Lock()
	defer s.mu.Unlock()
	defer d.enter()()
	if s.stream == 0 {
		if err := d.call("cuStreamCreate", d.cuStreamCreate, uintptr(unsafe.Pointer(&s.stream)), 1 /* non-blocking */); err != nil {
			return err
		}
	}
	if s.host == nil {
		var err error
		if s.host, err = b.pinned(sideBytes); err != nil {
			return err
		}
	}
	for len(dst) > 0 {
		n := min(len(dst), sideBytes)
		if err := d.call("cuMemcpyDtoHAsync", d.cuMemcpyDtoHAsync, uintptr(unsafe.Pointer(&s.host[0])), uintptr(at), uintptr(n), s.stream); err != nil {
			return err
		}
		if err := d.call("cuStreamSynchronize", d.cuStreamSynchronize, s.stream); err != nil {
			return err
		}
		copy(dst, s.host[:n])
		dst, at = dst[n:], at+uint64(n)
	}
	return nil
}

func (b *Backend) freeSide() {
	b.unpin(b.side.host)
	if b.side.stream != 0 {
		d := b.device
		defer d.enter()()
		_ = d.call("cuStreamDestroy", d.cuStreamDestroy, b.side.stream)
	}
}
