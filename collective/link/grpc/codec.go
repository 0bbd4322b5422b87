package grpclink

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/sullae/sullae/collective/link"
)

// codecName is the content subtype of the streams between ranks.
const codecName = "sullae-raw"

func init() { encoding.RegisterCodecV2(rawCodec{}) }

// rawCodec puts a message's bytes on the wire as they lie in memory, and hands
// out those that arrive in the transport's own buffers.
type rawCodec struct{}

func (rawCodec) Name() string { return codecName }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*outbound)
	if !ok {
		return nil, fmt.Errorf("%s carries no %T", codecName, v)
	}
	return m.bufs, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*inbound)
	if !ok {
		return fmt.Errorf("%s carries no %T", codecName, v)
	}
	data.Ref() // gRPC frees its own reference when we return
	m.data = append(m.data[:0], data...)
	return nil
}

// outbound is a message on its way out. It is not reused: the transport reads it
// after Send has returned.
type outbound struct {
	head [link.HeaderBytes]byte
	two  [2]mem.Buffer
	bufs mem.BufferSlice
}

func outFrame(h *link.Header, payload *link.Buffer) (*outbound, error) {
	m := &outbound{}
	if err := h.Encode(&m.head, payload); err != nil {
		return nil, err
	}
	m.two[0], m.bufs = mem.SliceBuffer(m.head[:]), m.two[:1]
	if payload != nil && len(payload.Bytes()) > 0 {
		payload.Retain()
		data := payload.Bytes()
		m.two[1], m.bufs = mem.NewBuffer(&data, lease{payload}), m.two[:2]
	}
	return m, nil
}

func outBytes(b []byte) *outbound { return &outbound{bufs: mem.BufferSlice{mem.SliceBuffer(b)}} }

// lease gives a payload back once gRPC has written it: the only thing that gRPC
// does with the "pool" of a buffer it did not take from there.
type lease struct{ b *link.Buffer }

func (l lease) Get(int) *[]byte { panic("grpclink: not a pool") }
func (l lease) Put(*[]byte)     { l.b.Release() }

// inbound is a message that arrived.
type inbound struct {
	data   mem.BufferSlice
	pieces [][]byte
}

var inbounds = sync.Pool{New: func() any { return new(inbound) }}

// views are the message's bytes, valid until Release.
func (m *inbound) views() [][]byte {
	m.pieces = m.pieces[:0]
	for _, b := range m.data {
		m.pieces = append(m.pieces, b.ReadOnlyData())
	}
	return m.pieces
}

// Release implements link.Releaser.
func (m *inbound) Release() {
	m.data.Free()
	clear(m.data)
	clear(m.pieces)
	m.data, m.pieces = m.data[:0], m.pieces[:0]
	inbounds.Put(m)
}
