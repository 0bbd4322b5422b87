package cpu

import "unsafe"

// region is a run of bytes for weights or KV, zeroed, outside Go's heap where
// the system allows it, on huge pages where it gives them.
type region struct {
	data []byte
	free func()
}

// smallRegion is the size below which a plain slice serves: nothing is gained
// from huge pages.
const smallRegion = 1 << 20

func newRegion(n int) (*region, error) {
	if n < smallRegion {
		return &region{data: plainBytes(n), free: func() {}}, nil
	}
	return mapRegion(n)
}

// Free releases the memory; the region must not be used again.
func (r *region) Free() {
	if r.free != nil {
		r.free()
	}
	r.data, r.free = nil, nil
}

func (r *region) floats() []float32 { return bytesAsFloats(r.data) }

func addr(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// plainBytes is a zeroed slice aligned for float32.
func plainBytes(n int) []byte {
	f := make([]float32, (n+3)/4)
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&f[0])), n)
}

func floatsAsBytes(f []float32) []byte {
	if len(f) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&f[0])), 4*len(f))
}

func bytesAsFloats(b []byte) []float32 {
	if len(b) < 4 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
}
