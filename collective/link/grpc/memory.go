package grpclink

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/sullae/sullae/collective/link"
	shmlink "github.com/sullae/sullae/collective/link/shm"
)

// Ranks that share a host have their frames go through memory. The dialer says in
// the call's metadata that it could, which a release that cannot ignores; the
// acceptor's last message is then an offer instead of an empty one, and the dialer
// answers whether it has taken it: it can only from the same host and network
// namespace. Where anything fails, the stream carries the frames.
const memoryKey = "sullae-memory"

// answers to an offer; an empty one declines.
const taken = "taken"

func (h *Hub) sharesMemory() bool { return h.opts.SharedMemory && shmlink.Supported }

// announce has calls under ctx say that this rank would take an offer.
func (f *formation) announce(ctx context.Context) context.Context {
	if !f.hub.sharesMemory() {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, memoryKey, "1")
}

// announced reports whether the caller would take an offer.
func announced(ctx context.Context) bool {
	return len(metadata.ValueFromIncomingContext(ctx, memoryKey)) > 0
}

// offerMemory ends the acceptor's handshake: l, or a link through memory over it.
func (f *formation) offerMemory(s stream, l *streamLink, secret []byte, local bool) (link.Link, error) {
	var offer *shmlink.Offer
	if local && f.hub.sharesMemory() {
		var err error
		if offer, err = shmlink.NewOffer(secret); err != nil {
			f.hub.noMemory(err)
		}
	}
	if offer == nil {
		return l, s.SendMsg(outBytes(nil))
	}
	err := s.SendMsg(outBytes([]byte(offer.Name)))
	var answer []byte
	if err == nil {
		answer, err = recvBytes(s)
	}
	if err != nil || string(answer) != taken {
		if why := offer.Close(); why != nil {
			f.hub.noMemory(why)
		}
		return l, err
	}
	memory, err := offer.Accept(l)
	if err != nil {
		return l, err
	}
	return memory, nil
}

// takeMemory ends the dialer's handshake: l, or a link through memory over it.
func (f *formation) takeMemory(s stream, l *streamLink, end shown) (link.Link, error) {
	if len(end.offer) == 0 {
		return l, nil
	}
	memory, err := shmlink.Take(string(end.offer), end.secret)
	if err != nil {
		f.hub.opts.Logger.Debug("frames go over the stream", "why", err) // another host, most often
		return l, s.SendMsg(outBytes(nil))
	}
	if err := s.SendMsg(outBytes([]byte(taken))); err != nil {
		memory.Close()
		return nil, err
	}
	return memory.Link(l), nil
}

// noMemory logs, once, that frames go over streams.
func (h *Hub) noMemory(err error) {
	h.memoryFails.Do(func() {
		h.opts.Logger.Warn("ranks on this host cannot share memory; their frames go over streams", "err", err)
	})
}
