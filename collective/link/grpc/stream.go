package grpclink

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective/link"
)

// linger is the longest that Close waits for a peer to hear the goodbye.
const linger = 200 * time.Millisecond

// stream is what both ends of a gRPC stream have in common.
type stream interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// streamLink is a link over one stream, from either end.
type streamLink struct {
	s stream
	// halfClose ends our direction after what was sent (the dialing end); nil at
	// the accepting end, where the handler's return does that.
	halfClose func() error
	// cut ends the stream both ways: it cancels the call, or lets the handler
	// return.
	cut func()

	sending sync.Mutex // held in SendMsg
	once    sync.Once
	ended   chan struct{} // closed when Recv has failed or ended
	endOnce sync.Once
}

func newStreamLink(s stream, halfClose func() error, cut func()) *streamLink {
	return &streamLink{s: s, halfClose: halfClose, cut: cut, ended: make(chan struct{})}
}

var errEnded = errors.New("the stream has ended")

// Send implements link.Link.
func (l *streamLink) Send(h *link.Header, payload *link.Buffer) error {
	m, err := outFrame(h, payload)
	if err != nil {
		return err
	}
	l.sending.Lock()
	defer l.sending.Unlock()
	return explain(l.s.SendMsg(m))
}

// Recv implements link.Link.
func (l *streamLink) Recv() (link.Frame, error) {
	m := inbounds.Get().(*inbound)
	if err := l.s.RecvMsg(m); err != nil {
		l.end()
		return link.Frame{}, explain(err)
	}
	f, err := link.Decode(m.views())
	if err != nil {
		m.Release()
		if _, ok := errors.AsType[*link.Bye](err); ok {
			l.cut() // the peer waits for this
		}
		l.end()
		return link.Frame{}, err
	}
	f.Owner = m
	return f, nil
}

func (l *streamLink) end() { l.endOnce.Do(func() { close(l.ended) }) }

// Close implements link.Link.
func (l *streamLink) Close(b link.Bye) {
	l.once.Do(func() {
		defer l.cut()
		if !l.sending.TryLock() {
			return // a peer that takes no frames takes no goodbye
		}
		defer l.sending.Unlock()
		late := time.AfterFunc(linger, l.cut)
		defer late.Stop()
		h, payload := link.ByeFrame(b)
		m, err := outFrame(h, payload)
		payload.Release()
		if err != nil || l.s.SendMsg(m) != nil || l.halfClose == nil || l.halfClose() != nil {
			return
		}
		// A cancelled call drops what is still to be written, so the dialing end
		// waits until the other one has read it all and hung up.
		select {
		case <-l.ended:
		case <-time.After(linger):
		}
	})
}

// explain turns gRPC's errors into sentences.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return errEnded
	}
	if s, ok := status.FromError(err); ok {
		return fmt.Errorf("%s (%s)", s.Message(), s.Code())
	}
	return err
}
