package grpclink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/link"
)

// formation is a group being formed, or formed, at this hub.
type formation struct {
	Formation
	hub    *Hub
	ctx    context.Context // of the streams; ends with the epoch
	cancel context.CancelFunc

	leaving sync.Once

	mu    sync.Mutex
	ended bool
	taken []bool            // by rank: a link stands or is being agreed on
	links []link.Link       // by rank
	up    chan struct{}     // capacity 1: links has changed
	why   []error           // by rank: the last failure to link
	local int               // links through memory, once formed
	group *collective.Group // once formed
}

// leave ends the formation, whatever its state, and waits until it has.
func (f *formation) leave() { f.leaving.Do(f.end) }

func (f *formation) end() {
	f.mu.Lock()
	f.ended = true
	g, links := f.group, f.links
	f.mu.Unlock()
	if g != nil {
		g.Close()
	} else {
		for _, l := range links {
			if l != nil {
				abandon(l, f.Epoch)
			}
		}
	}
	f.cancel()
	h := f.hub
	h.mu.Lock()
	if h.current[f.Group] == f {
		delete(h.current, f.Group)
		h.notify()
	}
	h.mu.Unlock()
}

// abandon ends a link that no group has taken over. Nobody reads the other end of
// a stream yet, so a dialer does not wait for its goodbye to be heard.
func abandon(l link.Link, epoch uint64) {
	if s, ok := l.(*streamLink); ok && s.halfClose != nil {
		s.cut()
		return
	}
	l.Close(link.Bye{Failed: true, Reason: fmt.Sprintf("epoch %d was not formed", epoch)})
}

// reserve keeps rank p's place for one stream.
func (f *formation) reserve(p int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended:
		return status.Errorf(codes.FailedPrecondition, "epoch %d has ended", f.Epoch)
	case f.taken[p]:
		return status.Errorf(codes.Unavailable, "rank %d is linked already", p)
	}
	f.taken[p] = true
	return nil
}

// settle ends what reserve began: with a link, or with the reason for none.
func (f *formation) settle(p int, l link.Link, err error) error {
	f.mu.Lock()
	if err == nil && f.ended {
		err = status.Errorf(codes.FailedPrecondition, "epoch %d has ended", f.Epoch)
	}
	if err != nil {
		f.taken[p], f.why[p] = false, explain(err)
		f.mu.Unlock()
		if l != nil {
			abandon(l, f.Epoch)
		}
		return err
	}
	f.links[p] = l
	f.mu.Unlock()
	select {
	case f.up <- struct{}{}:
	default:
	}
	return nil
}

// vacate gives rank p's place up when its link l has ended before the group was formed:
// the peer did not take what this end had, and calls again.
func (f *formation) vacate(p int, l link.Link) {
	f.mu.Lock()
	gone := f.group == nil && !f.ended && f.links[p] == l
	if gone {
		f.links[p], f.taken[p], f.why[p] = nil, false, errors.New("it hung up")
	}
	f.mu.Unlock()
	if gone {
		abandon(l, f.Epoch)
	}
}

// admit does the acceptor's handshake and takes the link in; local tells that the
// dialer would take an offer of memory.
func (f *formation) admit(s stream, theirs *hello, raw []byte, l *streamLink, local bool) (link.Link, error) {
	p := int(theirs.Rank)
	if err := f.fits(theirs); err != nil {
		if p < f.WorldSize && p != f.Rank {
			f.mu.Lock()
			f.why[p] = explain(err)
			f.mu.Unlock()
		}
		return nil, err
	}
	if p < f.Rank {
		return nil, status.Errorf(codes.FailedPrecondition, "rank %d dials rank %d: the higher rank has to", p, f.Rank)
	}
	if err := f.reserve(p); err != nil {
		return nil, err
	}
	end, err := f.welcome(s, raw, p)
	if err != nil {
		return nil, f.settle(p, nil, err)
	}
	made, err := f.offerMemory(s, l, end.secret, local)
	return made, f.settle(p, made, err)
}

// stale is when a connection that was kept from the epoch before is taken for one
// that a cut has broken: what was sent in the cut is sent again by TCP seconds later,
// and holds up all that follows.
const stale = 300 * time.Millisecond

// dial links to rank p, as often as it takes: a peer may not be up, or not have
// joined yet. An answer that will not change is returned.
func (f *formation) dial(ctx context.Context, p int) error {
	cc, kept, err := f.hub.conns.get(f.Peers[p])
	if err != nil {
		return err
	}
	if err := f.reserve(p); err != nil {
		return err
	}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		once, cancel := ctx, func() {}
		if kept {
			once, cancel = context.WithTimeout(ctx, stale)
		}
		l, err := f.call(once, cc, p)
		late := once.Err() != nil
		cancel()
		if err != nil && kept && late && ctx.Err() == nil {
			f.hub.conns.drop(f.Peers[p], cc)
			if cc, kept, err = f.hub.conns.get(f.Peers[p]); err != nil {
				return err
			}
			continue
		}
		if err == nil {
			return f.settle(p, l, nil)
		}
		if ctx.Err() != nil {
			return nil // the reason is the one before
		}
		f.mu.Lock()
		f.why[p] = explain(err)
		f.mu.Unlock()
		switch status.Code(err) {
		case codes.FailedPrecondition, codes.Unauthenticated, codes.PermissionDenied, codes.InvalidArgument, codes.Unimplemented:
			return collective.ErrMismatch
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// call opens a stream to rank p and does the dialer's handshake.
func (f *formation) call(ctx context.Context, cc *grpc.ClientConn, p int) (link.Link, error) {
	life, cut := context.WithCancel(f.announce(f.ctx))
	stop := context.AfterFunc(ctx, cut)
	s, err := cc.NewStream(life, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		"/"+ServiceName+"/"+methodName, grpc.CallContentSubtype(codecName))
	var end shown
	if err == nil {
		end, err = f.introduce(s, p)
	}
	var l link.Link
	if err == nil {
		l, err = f.takeMemory(s, newStreamLink(s, s.CloseSend, cut), end)
	}
	if err == nil && !stop() {
		err = ctx.Err()
		abandon(l, f.Epoch)
	}
	if err != nil {
		stop()
		cut()
		return nil, err
	}
	return l, nil
}
