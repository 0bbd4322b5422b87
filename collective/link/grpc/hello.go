package grpclink

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective/link"
)

// hello is how one end of a stream introduces itself. The handshake:
//
//	dialer    hello
//	acceptor  hello, then a proof over both hellos
//	dialer    its own proof over both
//	acceptor  an empty message: the link stands; or an offer of memory (memory.go)
//
// A proof is an HMAC keyed with the epoch's token, so the token does not travel,
// and each end's nonce keeps old proofs from working again.
type hello struct {
	Group     string
	Epoch     uint64
	Rank      uint32 // of the sender
	To        uint32 // the rank that it wants to talk to
	WorldSize uint32
	Settings  uint64 // collective.Tuning.Settings
	Nonce     [16]byte
}

const (
	helloMagic    = "SULH"
	maxGroupBytes = 256
)

var errBadHello = errors.New("not a hello of this protocol")

func newHello(f *formation, to int) *hello {
	h := &hello{Group: f.Group, Epoch: f.Epoch, Rank: uint32(f.Rank), To: uint32(to),
		WorldSize: uint32(f.WorldSize), Settings: f.Settings()}
	rand.Read(h.Nonce[:])
	return h
}

func (h *hello) encode() []byte {
	le := binary.LittleEndian
	b := append([]byte(nil), helloMagic...)
	b = le.AppendUint16(b, link.Version)
	b = le.AppendUint64(b, h.Epoch)
	b = le.AppendUint32(b, h.Rank)
	b = le.AppendUint32(b, h.To)
	b = le.AppendUint32(b, h.WorldSize)
	b = le.AppendUint64(b, h.Settings)
	b = append(b, h.Nonce[:]...)
	b = le.AppendUint16(b, uint16(len(h.Group)))
	return append(b, h.Group...)
}

const helloFixed = 4 + 2 + 8 + 4 + 4 + 4 + 8 + 16 + 2

func decodeHello(b []byte) (*hello, error) {
	le := binary.LittleEndian
	if len(b) < 6 || string(b[:4]) != helloMagic {
		return nil, errBadHello
	}
	if v := le.Uint16(b[4:]); v != link.Version {
		return nil, fmt.Errorf("protocol version %d, this rank has %d: run the same release on all workers", v, link.Version)
	}
	if len(b) < helloFixed || len(b) != helloFixed+int(le.Uint16(b[helloFixed-2:])) || len(b) > helloFixed+maxGroupBytes {
		return nil, errBadHello
	}
	h := &hello{Epoch: le.Uint64(b[6:]), Rank: le.Uint32(b[14:]), To: le.Uint32(b[18:]),
		WorldSize: le.Uint32(b[22:]), Settings: le.Uint64(b[26:]), Group: string(b[helloFixed:])}
	copy(h.Nonce[:], b[34:])
	return h, nil
}

// proof shows that role, one of "dialer" and "acceptor", knows the token.
func proof(token []byte, role string, dialer, acceptor []byte) []byte {
	m := hmac.New(sha256.New, token)
	for _, part := range [][]byte{[]byte(role), dialer, acceptor} {
		m.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(part))))
		m.Write(part)
	}
	return m.Sum(nil)
}

// fits reports why a peer's hello does not fit to the formation, as a status.
func (f *formation) fits(h *hello) error {
	refuse := func(format string, args ...any) error {
		return status.Errorf(codes.FailedPrecondition, "group %s epoch %d rank %d refuses rank %d: "+format,
			append([]any{f.Group, f.Epoch, f.Rank, h.Rank}, args...)...)
	}
	switch {
	case h.Group != f.Group:
		return refuse("it belongs to group %q", h.Group)
	case h.Epoch != f.Epoch:
		return refuse("it is in epoch %d", h.Epoch)
	case int(h.WorldSize) != f.WorldSize:
		return refuse("it has %d ranks in the group where %d are here", h.WorldSize, f.WorldSize)
	case int(h.Rank) >= f.WorldSize || int(h.Rank) == f.Rank:
		return refuse("there is no such peer")
	case int(h.To) != f.Rank:
		return refuse("it looks for rank %d", h.To)
	case h.Settings != f.Settings():
		return refuse("its thresholds or chunks differ")
	}
	return nil
}

// shown is what both ends know after a handshake.
type shown struct {
	offer  []byte // the acceptor's last message
	secret []byte // for what the two do past the stream
}

// introduce is the dialer's part of the handshake.
func (f *formation) introduce(s stream, to int) (end shown, err error) {
	mine := newHello(f, to)
	sent := mine.encode()
	if err := s.SendMsg(outBytes(sent)); err != nil {
		// The reason for an early end is what Recv returns.
		if _, rerr := recvBytes(s); rerr != nil {
			return end, rerr
		}
		return end, err
	}
	got, err := recvBytes(s)
	if err != nil {
		return end, err
	}
	theirs, err := decodeHello(got)
	if err != nil {
		return end, status.Error(codes.FailedPrecondition, err.Error())
	}
	if err := f.fits(theirs); err != nil {
		return end, err
	}
	if int(theirs.Rank) != to {
		return end, status.Errorf(codes.FailedPrecondition, "rank %d answers at the address of rank %d", theirs.Rank, to)
	}
	seen, err := recvBytes(s)
	if err != nil {
		return end, err
	}
	if !hmac.Equal(seen, proof(f.Token, "acceptor", sent, got)) {
		return end, status.Errorf(codes.Unauthenticated, "rank %d does not know the token of epoch %d", to, f.Epoch)
	}
	if err := s.SendMsg(outBytes(proof(f.Token, "dialer", sent, got))); err != nil {
		return end, err
	}
	end.secret = proof(f.Token, "memory", sent, got)
	end.offer, err = recvBytes(s)
	return end, err
}

// welcome is the acceptor's part, after it has read the hello of rank p (raw as it
// came) and found that it fits; but for its last message.
func (f *formation) welcome(s stream, raw []byte, p int) (end shown, err error) {
	sent := newHello(f, p).encode()
	if err := s.SendMsg(outBytes(sent)); err != nil {
		return end, err
	}
	if err := s.SendMsg(outBytes(proof(f.Token, "acceptor", raw, sent))); err != nil {
		return end, err
	}
	seen, err := recvBytes(s)
	if err != nil {
		return end, fmt.Errorf("it hung up in the handshake: %w", err)
	}
	if !hmac.Equal(seen, proof(f.Token, "dialer", raw, sent)) {
		return end, status.Errorf(codes.Unauthenticated, "rank %d does not know the token of epoch %d", p, f.Epoch)
	}
	end.secret = proof(f.Token, "memory", raw, sent)
	return end, nil
}

// recvBytes reads one message of a handshake.
func recvBytes(s stream) ([]byte, error) {
	m := inbounds.Get().(*inbound)
	if err := s.RecvMsg(m); err != nil {
		return nil, err
	}
	defer m.Release()
	if m.data.Len() > helloFixed+maxGroupBytes {
		return nil, status.Error(codes.FailedPrecondition, errBadHello.Error())
	}
	return m.data.Materialize(), nil
}
