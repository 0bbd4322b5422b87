package link

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Version is the protocol version that every frame and handshake carries. Ranks
// of different versions refuse each other.
const Version = 1

// HeaderBytes is the size of an encoded header.
const HeaderBytes = 96

// MaxPayloadBytes bounds a frame's payload, so that a receiver never has to
// believe in a larger one. It fits gRPC's default limit for messages.
const MaxPayloadBytes = 2 << 20

const magic = 0x434c5553 // "SULC" as little-endian bytes

// Kind says what a frame is for.
type Kind uint8

// Kinds of frames.
const (
	KindData Kind = iota + 1 // part of a collective
	KindBye                  // the sender's last frame; the payload is the reason
)

// Phase is the hop of a collective that a frame belongs to.
type Phase uint8

// Phases in the order in which a link carries them for one chunk.
const (
	PhaseParts  Phase = iota + 1 // subtree values, to whoever sums them
	PhaseSum                     // summed slices, from their owner to everybody
	PhaseGather                  // bytes of an all-gather
)

func (p Phase) String() string {
	switch p {
	case PhaseParts:
		return "parts"
	case PhaseSum:
		return "sum"
	case PhaseGather:
		return "gather"
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// Header says which collective a frame belongs to and which piece of it the
// payload is. All integers travel little-endian, in this order and without gaps
// apart from those named in put.
type Header struct {
	Kind  Kind
	Op    uint8
	Phase Phase
	// Flag is 1 in a Bye after a failure.
	Flag uint8

	Seq    uint64 // frames sent before on this link: a lost, repeated or moved frame shows
	Epoch  uint64
	Group  uint64 // hash of the group's name
	Step   uint64
	Check  uint64 // hash of what the ranks must agree on
	Layout uint64 // hash of shares, hops and chunking
	Total  uint64 // elements of the whole vector, or bytes of the whole gather
	Offset uint64 // first element (byte) of this frame
	Count  uint32 // elements (bytes) of each part in this frame
	Layer  uint16
	Source uint16 // the sender's rank
	Parts  uint16 // parts in the payload, one after another

	payloadBytes uint32
	payloadSum   uint32
}

func (h *Header) put(b *[HeaderBytes]byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], magic)
	b[4], b[5], b[6], b[7] = Version, byte(h.Kind), h.Op, byte(h.Phase)
	le.PutUint64(b[8:], h.Seq)
	le.PutUint64(b[16:], h.Epoch)
	le.PutUint64(b[24:], h.Group)
	le.PutUint64(b[32:], h.Step)
	le.PutUint64(b[40:], h.Check)
	le.PutUint64(b[48:], h.Layout)
	le.PutUint64(b[56:], h.Total)
	le.PutUint64(b[64:], h.Offset)
	le.PutUint32(b[72:], h.Count)
	le.PutUint32(b[76:], h.payloadBytes)
	le.PutUint16(b[80:], h.Layer)
	le.PutUint16(b[82:], h.Source)
	le.PutUint16(b[84:], h.Parts)
	b[86], b[87] = h.Flag, 0
	le.PutUint32(b[88:], h.payloadSum)
	le.PutUint32(b[92:], crc32.Checksum(b[:92], castagnoli))
}

func (h *Header) parse(b *[HeaderBytes]byte) error {
	le := binary.LittleEndian
	if m := le.Uint32(b[0:]); m != magic {
		return fmt.Errorf("%w: magic %#x where %#x was due", ErrCorrupt, m, uint32(magic))
	}
	// The version comes before the checksum: another version may sum differently.
	if b[4] != Version {
		return fmt.Errorf("%w: protocol version %d where %d was due", ErrCorrupt, b[4], Version)
	}
	if got, want := crc32.Checksum(b[:92], castagnoli), le.Uint32(b[92:]); got != want {
		return fmt.Errorf("%w: header checksum %#x where %#x was due", ErrCorrupt, got, want)
	}
	*h = Header{
		Kind: Kind(b[5]), Op: b[6], Phase: Phase(b[7]), Flag: b[86],
		Seq: le.Uint64(b[8:]), Epoch: le.Uint64(b[16:]), Group: le.Uint64(b[24:]),
		Step: le.Uint64(b[32:]), Check: le.Uint64(b[40:]), Layout: le.Uint64(b[48:]),
		Total: le.Uint64(b[56:]), Offset: le.Uint64(b[64:]), Count: le.Uint32(b[72:]),
		Layer: le.Uint16(b[80:]), Source: le.Uint16(b[82:]), Parts: le.Uint16(b[84:]),
		payloadBytes: le.Uint32(b[76:]), payloadSum: le.Uint32(b[88:]),
	}
	return nil
}

// PayloadBytes is the length of the payload that follows an encoded header, at most
// MaxPayloadBytes, for links that are streams of bytes. Errors wrap ErrCorrupt.
func PayloadBytes(b *[HeaderBytes]byte) (int, error) {
	var h Header
	if err := h.parse(b); err != nil {
		return 0, err
	}
	if h.payloadBytes > MaxPayloadBytes {
		return 0, fmt.Errorf("%w: a payload of %d bytes, at most %d travel", ErrCorrupt, h.payloadBytes, MaxPayloadBytes)
	}
	return int(h.payloadBytes), nil
}

// Encode fills in h's lengths and checksums for payload (nil means none) and
// writes h to b, for links.
func (h *Header) Encode(b *[HeaderBytes]byte, payload *Buffer) error {
	h.payloadBytes, h.payloadSum = 0, 0
	if payload != nil {
		if n := len(payload.Bytes()); n > MaxPayloadBytes {
			return fmt.Errorf("frame of %d bytes is over the limit of %d", n, MaxPayloadBytes)
		}
		h.payloadBytes, h.payloadSum = uint32(len(payload.Bytes())), payload.Sum()
	}
	h.put(b)
	return nil
}
