package link

import (
	"hash/crc32"
	"math/bits"
	"sync"
	"sync/atomic"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Buffer is a payload on its way out: pooled, and shared by the links that send
// it to several peers. Whoever holds a reference may read it; the last Release
// gives it back to the pool, so a transport may hold on to it after Send returned.
type Buffer struct {
	data  []byte
	sum   uint32
	sumOK bool
	refs  atomic.Int32
}

// Smallest and largest pooled sizes, as powers of two. Transports pool nothing
// below 1 KiB, and payloads are not larger than MaxPayloadBytes.
const (
	minClass = 11
	maxClass = 21
)

var pools [maxClass + 1]sync.Pool

// NewBuffer returns a buffer of n bytes with any contents and one reference.
func NewBuffer(n int) *Buffer {
	class := max(minClass, bits.Len(uint(max(n, 1)-1)))
	if class > maxClass {
		b := &Buffer{data: make([]byte, n)}
		b.refs.Store(1)
		return b
	}
	b, _ := pools[class].Get().(*Buffer)
	if b == nil {
		b = &Buffer{data: make([]byte, 1<<class)}
	}
	b.data, b.sumOK = b.data[:n], false
	b.refs.Store(1)
	return b
}

// Bytes is the payload. It may be written until the buffer is first sent.
func (b *Buffer) Bytes() []byte { return b.data }

// Sum is the CRC32C of the payload, computed once. The owner calls it (Send
// does) before other goroutines see the buffer.
func (b *Buffer) Sum() uint32 {
	if !b.sumOK {
		b.sum, b.sumOK = crc32.Checksum(b.data, castagnoli), true
	}
	return b.sum
}

// Retain adds a reference.
func (b *Buffer) Retain() {
	if b.refs.Add(1) <= 1 {
		panic("link: buffer retained after its release")
	}
}

// Release gives a reference back.
func (b *Buffer) Release() {
	switch n := b.refs.Add(-1); {
	case n < 0:
		panic("link: buffer released twice")
	case n == 0:
		if class := bits.Len(uint(cap(b.data) - 1)); class <= maxClass && cap(b.data) == 1<<class {
			pools[class].Put(b)
		}
	}
}
