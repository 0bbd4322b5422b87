package link

import (
	"fmt"
	"hash/crc32"
)

// Frame is a received frame. Its payload lies in the transport's own buffers, in
// pieces that may end anywhere, even within a float.
type Frame struct {
	Header
	Pieces [][]byte
	Owner  Releaser // of the pieces; nil if nobody minds
}

// Releaser takes received buffers back.
type Releaser interface{ Release() }

// Release gives the payload's buffers back to the transport.
func (f *Frame) Release() {
	if f.Owner != nil {
		f.Owner.Release()
	}
	f.Owner, f.Pieces = nil, nil
}

// PayloadBytes is the length of the payload.
func (f *Frame) PayloadBytes() int { return int(f.payloadBytes) }

// Decode reads a frame out of the pieces of a received message and verifies its
// checksums. The frame's pieces are views of the message's: pieces[:0] is
// overwritten. Errors wrap ErrCorrupt, or are *Bye.
func Decode(pieces [][]byte) (Frame, error) {
	var raw [HeaderBytes]byte
	rest, ok := take(raw[:], pieces)
	if !ok {
		return Frame{}, fmt.Errorf("%w: shorter than a header", ErrCorrupt)
	}
	var f Frame
	if err := f.parse(&raw); err != nil {
		return Frame{}, err
	}
	f.Pieces = rest
	var n int
	var sum uint32
	for _, p := range rest {
		n += len(p)
		sum = crc32.Update(sum, castagnoli, p)
	}
	if n != int(f.payloadBytes) {
		return Frame{}, fmt.Errorf("%w: %d bytes of payload where %d were due", ErrCorrupt, n, f.payloadBytes)
	}
	if sum != f.payloadSum {
		return Frame{}, fmt.Errorf("%w: payload checksum %#x where %#x was due", ErrCorrupt, sum, f.payloadSum)
	}
	switch f.Kind {
	case KindData:
		return f, nil
	case KindBye:
		bye := &Bye{Failed: f.Flag != 0}
		for _, p := range rest {
			bye.Reason += string(p[:min(len(p), MaxReason-len(bye.Reason))])
		}
		return Frame{}, bye
	}
	return Frame{}, fmt.Errorf("%w: unknown kind %d", ErrCorrupt, f.Kind)
}

// take copies the first bytes of pieces to dst and returns the rest.
func take(dst []byte, pieces [][]byte) ([][]byte, bool) {
	rest := pieces[:0]
	for _, p := range pieces {
		n := copy(dst, p)
		dst = dst[n:]
		if n < len(p) {
			rest = append(rest, p[n:])
		}
	}
	return rest, len(dst) == 0
}

// ByeFrame is the header and payload that carry b, for links.
func ByeFrame(b Bye) (*Header, *Buffer) {
	reason := b.Reason
	if len(reason) > MaxReason {
		reason = reason[:MaxReason]
	}
	buf := NewBuffer(len(reason))
	copy(buf.Bytes(), reason)
	h := &Header{Kind: KindBye}
	if b.Failed {
		h.Flag = 1
	}
	return h, buf
}
