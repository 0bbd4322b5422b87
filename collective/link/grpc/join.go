package grpclink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/link"
)

// Formation is a group that is to be formed, as every rank must know it.
type Formation struct {
	Group     string
	Epoch     uint64
	Rank      int
	WorldSize int
	Peers     []string // host:port (or unix:path) of every rank's server, by rank
	Token     []byte   // a secret of the epoch; ranks with another one are refused
	collective.Tuning
}

func (f *Formation) check() error {
	switch {
	case f.Group == "" || len(f.Group) > maxGroupBytes:
		return fmt.Errorf("group name %q: want 1 to %d bytes", f.Group, maxGroupBytes)
	case f.Epoch == 0:
		return errors.New("epoch 0: epochs start at 1")
	case f.WorldSize < 1 || f.Rank < 0 || f.Rank >= f.WorldSize:
		return fmt.Errorf("rank %d of %d", f.Rank, f.WorldSize)
	case f.WorldSize > 1 && len(f.Peers) != f.WorldSize:
		return fmt.Errorf("%d addresses for %d ranks", len(f.Peers), f.WorldSize)
	}
	return nil
}

// Member is this process's rank in a formed group.
type Member struct {
	*collective.Group
	f *formation
}

// Close leaves the group. The hub keeps the connections for the next epoch.
func (m *Member) Close() error {
	m.f.leave()
	return nil
}

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
	links []*streamLink     // by rank
	up    chan struct{}     // capacity 1: links has changed
	why   []error           // by rank: the last failure to link
	group *collective.Group // once formed
}

// Join forms the group f together with the other ranks' Joins: it dials lower
// ranks and awaits higher ones, until ctx ends or f.Timeout passes. An epoch that
// is not higher than all those joined for the group is an ErrMismatch. Joining
// ends this hub's part in the group's older epochs.
func (h *Hub) Join(ctx context.Context, f Formation) (collective.Communicator, error) {
	fail := func(err error) (collective.Communicator, error) {
		return nil, fmt.Errorf("join group %s epoch %d as rank %d: %w", f.Group, f.Epoch, f.Rank, err)
	}
	if err := f.check(); err != nil {
		return fail(err)
	}
	limit := f.Timeout
	if limit <= 0 {
		limit = collective.DefaultTimeout
	}
	ctx, stop := context.WithTimeoutCause(ctx, limit, collective.ErrTimeout)
	defer stop()

	fm := &formation{Formation: f, hub: h, taken: make([]bool, f.WorldSize), links: make([]*streamLink, f.WorldSize),
		up: make(chan struct{}, 1), why: make([]error, f.WorldSize)}
	fm.ctx, fm.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := h.begin(fm); err != nil {
		fm.cancel()
		return fail(err)
	}
	if err := fm.form(ctx); err != nil {
		fm.leave()
		return fail(err)
	}
	h.opts.Logger.Info("group formed", "group", f.Group, "epoch", f.Epoch, "rank", f.Rank, "ranks", f.WorldSize)
	return &Member{Group: fm.group, f: fm}, nil
}

// begin makes fm the group's current formation and ends the one before.
func (h *Hub) begin(fm *formation) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return collective.ErrClosed
	}
	if top := h.highest[fm.Group]; fm.Epoch <= top {
		return fmt.Errorf("%w: epoch %d is not newer than epoch %d", collective.ErrMismatch, fm.Epoch, top)
	}
	keep := map[string]bool{}
	if old := h.current[fm.Group]; old != nil {
		h.wg.Go(old.leave)
		for _, addr := range old.Peers { // it still has to say goodbye
			keep[addr] = true
		}
	}
	h.highest[fm.Group] = fm.Epoch
	h.current[fm.Group] = fm
	for _, f := range h.current {
		for _, addr := range f.Peers {
			keep[addr] = true
		}
	}
	h.conns.keep(keep)
	h.notify()
	return nil
}

// form makes the links and the group.
func (f *formation) form(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var dialers sync.WaitGroup
	for p := range f.Rank {
		dialers.Go(func() {
			if err := f.dial(ctx, p); err != nil {
				cancel(err)
			}
		})
	}
	defer dialers.Wait()
	defer cancel(nil)
	for {
		if len(f.missing()) == 0 {
			return f.seal()
		}
		select {
		case <-f.up:
		case <-f.ctx.Done():
			return collective.ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", context.Cause(ctx), strings.Join(f.missing(), "; "))
		}
	}
}

// seal turns the links into a group.
func (f *formation) seal() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return collective.ErrClosed
	}
	links := make([]link.Link, f.WorldSize)
	for p, l := range f.links {
		if l != nil {
			links[p] = l
		}
	}
	var err error
	f.group, err = collective.NewGroup(collective.Config{Group: f.Group, Epoch: f.Epoch, Rank: f.Rank,
		WorldSize: f.WorldSize, Tuning: f.Tuning}, links)
	return err
}

// missing says which links are missing, and why.
func (f *formation) missing() (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, l := range f.links {
		switch {
		case p == f.Rank || l != nil:
		case f.why[p] != nil:
			out = append(out, fmt.Sprintf("rank %d at %s: %v", p, f.Peers[p], f.why[p]))
		case p < f.Rank:
			out = append(out, fmt.Sprintf("rank %d at %s does not answer", p, f.Peers[p]))
		default:
			out = append(out, fmt.Sprintf("rank %d at %s has not called", p, f.Peers[p]))
		}
	}
	return out
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
				l.abandon(f.Epoch)
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

// abandon ends a link that no group has taken over. Nobody reads the other end
// yet, so a dialer does not wait for its goodbye to be heard.
func (l *streamLink) abandon(epoch uint64) {
	if l.halfClose != nil {
		l.cut()
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
func (f *formation) settle(p int, l *streamLink, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.ended {
		err = status.Errorf(codes.FailedPrecondition, "epoch %d has ended", f.Epoch)
	}
	if err != nil {
		f.taken[p], f.why[p] = false, explain(err)
		return err
	}
	f.links[p] = l
	select {
	case f.up <- struct{}{}:
	default:
	}
	return nil
}

// admit does the acceptor's handshake and takes the link in.
func (f *formation) admit(s stream, theirs *hello, raw []byte, l *streamLink) error {
	p := int(theirs.Rank)
	if err := f.fits(theirs); err != nil {
		if p < f.WorldSize && p != f.Rank {
			f.mu.Lock()
			f.why[p] = explain(err)
			f.mu.Unlock()
		}
		return err
	}
	if p < f.Rank {
		return status.Errorf(codes.FailedPrecondition, "rank %d dials rank %d: the higher rank has to", p, f.Rank)
	}
	if err := f.reserve(p); err != nil {
		return err
	}
	err := f.welcome(s, raw, p)
	if err == nil {
		err = s.SendMsg(outBytes(nil))
	}
	return f.settle(p, l, err)
}

// dial links to rank p, as often as it takes: a peer may not be up, or not have
// joined yet. An answer that will not change is returned.
func (f *formation) dial(ctx context.Context, p int) error {
	cc, err := f.hub.conns.get(f.Peers[p])
	if err != nil {
		return err
	}
	if err := f.reserve(p); err != nil {
		return err
	}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		l, err := f.call(ctx, cc, p)
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
func (f *formation) call(ctx context.Context, cc *grpc.ClientConn, p int) (*streamLink, error) {
	life, cut := context.WithCancel(f.ctx)
	stop := context.AfterFunc(ctx, cut)
	s, err := cc.NewStream(life, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		"/"+ServiceName+"/"+methodName, grpc.CallContentSubtype(codecName))
	if err == nil {
		err = f.introduce(s, p)
	}
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		stop()
		cut()
		return nil, err
	}
	return newStreamLink(s, s.CloseSend, cut), nil
}
