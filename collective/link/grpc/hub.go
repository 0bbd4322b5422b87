package grpclink

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective/link"
)

// Names of the service and its only method.
const (
	ServiceName = "sullae.cluster.v1.LinkService"
	methodName  = "Exchange"
)

// Limits for peers that have not shown who they are.
const (
	helloTimeout = 5 * time.Second
	maxHeld      = 1024 // streams waiting for an epoch to be joined here
)

// HubOptions configure a Hub; the zero value is good for tests.
type HubOptions struct {
	// Credentials for dialing peers; nil is plain text.
	Credentials credentials.TransportCredentials
	// Dial is appended to DialOptions.
	Dial []grpc.DialOption
	// Hold is how long a stream of an epoch that was not joined here yet waits for
	// that, before it is refused; 0 means 5 s. The peer tries again.
	Hold time.Duration
	// SharedMemory has frames between ranks of one host, and one network namespace,
	// go through memory that both map (link/shm).
	SharedMemory bool
	// SpinRanks is how many ranks of this host may keep a processor while they wait
	// for each other, this one included; where there are more they sleep at once.
	SpinRanks int

	Logger *slog.Logger // nil logs nothing
}

// Hub is a process's end of the links of all groups that it belongs to. Register
// it once on the process's gRPC server; then Join forms groups.
type Hub struct {
	opts  HubOptions
	conns conns
	wg    sync.WaitGroup

	memoryFails sync.Once

	mu      sync.Mutex
	closed  bool
	held    int
	changed chan struct{} // closed and replaced when a formation begins or ends
	highest map[string]uint64
	current map[string]*formation
}

// NewHub returns a hub without groups.
func NewHub(opts HubOptions) *Hub {
	if opts.Hold <= 0 {
		opts.Hold = 5 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	creds := opts.Credentials
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	h := &Hub{opts: opts, changed: make(chan struct{}), highest: map[string]uint64{}, current: map[string]*formation{}}
	h.conns.dial = append(append(DialOptions(), grpc.WithTransportCredentials(creds)), opts.Dial...)
	return h
}

// Register adds the link service to a server made with ServerOptions.
func (h *Hub) Register(s grpc.ServiceRegistrar) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: ServiceName,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: methodName, ServerStreams: true, ClientStreams: true,
			Handler: func(srv any, s grpc.ServerStream) error { return srv.(*Hub).accept(s) },
		}},
	}, h)
}

// Close leaves all groups and closes all connections. Streams that peers open
// later are refused.
func (h *Hub) Close() error {
	h.mu.Lock()
	h.closed = true
	var open []*formation
	for _, f := range h.current {
		open = append(open, f)
	}
	h.notify()
	h.mu.Unlock()
	for _, f := range open {
		f.leave()
	}
	h.wg.Wait()
	h.conns.keep(nil)
	return nil
}

// notify wakes whoever waits for a formation; mu is held.
func (h *Hub) notify() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// accept serves a stream that a peer opened, for as long as its link lives.
func (h *Hub) accept(s grpc.ServerStream) error {
	ctx, raw, err := s.Context(), []byte(nil), error(nil)
	got := make(chan struct{})
	go func() { // ends with the stream at the latest
		raw, err = recvBytes(s)
		close(got)
	}()
	late := time.NewTimer(helloTimeout)
	defer late.Stop()
	select {
	case <-got:
	case <-late.C:
		return status.Error(codes.DeadlineExceeded, "no hello")
	}
	if err != nil {
		return err
	}
	theirs, err := decodeHello(raw)
	if err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	f, err := h.find(ctx, theirs)
	if err != nil {
		return err
	}
	// The rest of the handshake has a deadline too: the formation's, or its end.
	cut := make(chan struct{})
	l := newStreamLink(s, nil, sync.OnceFunc(func() { close(cut) }))
	var made link.Link
	done := make(chan error, 1)
	go func() {
		var err error
		made, err = f.admit(s, theirs, raw, l, announced(ctx))
		done <- err
	}()
	late.Reset(helloTimeout)
	select {
	case err = <-done:
	case <-late.C:
		err = status.Error(codes.DeadlineExceeded, "the handshake takes too long")
	case <-f.ctx.Done():
		err = status.Errorf(codes.FailedPrecondition, "epoch %d has ended", f.Epoch)
	}
	if err != nil {
		l.cut() // in case that admit succeeds now
		h.opts.Logger.Warn("link refused", "group", theirs.Group, "epoch", theirs.Epoch, "peer", theirs.Rank, "err", err)
		return err
	}
	select {
	case <-cut:
	case <-ctx.Done():
	}
	f.vacate(int(theirs.Rank), made)
	return nil
}

// find returns the formation that a hello is for. A peer may call before we have
// joined: its stream is held back for a while.
func (h *Hub) find(ctx context.Context, theirs *hello) (*formation, error) {
	var late <-chan time.Time
	for {
		h.mu.Lock()
		f, highest, changed := h.current[theirs.Group], h.highest[theirs.Group], h.changed
		switch {
		case h.closed:
			h.mu.Unlock()
			return nil, status.Error(codes.Unavailable, "this worker is shutting down")
		case f != nil && f.Epoch == theirs.Epoch:
			h.mu.Unlock()
			return f, nil
		case theirs.Epoch <= highest:
			h.mu.Unlock()
			return nil, status.Errorf(codes.FailedPrecondition, "group %s epoch %d is over: this worker has seen epoch %d",
				theirs.Group, theirs.Epoch, highest)
		case late == nil && h.held >= maxHeld:
			h.mu.Unlock()
			return nil, status.Error(codes.Unavailable, "too many streams wait for an epoch")
		case late == nil:
			h.held++
			timer := time.NewTimer(h.opts.Hold)
			late = timer.C
			defer func() {
				timer.Stop()
				h.mu.Lock()
				h.held--
				h.mu.Unlock()
			}()
		}
		h.mu.Unlock()
		select {
		case <-changed:
		case <-late:
			return nil, status.Errorf(codes.Unavailable, "this worker has not joined group %s epoch %d", theirs.Group, theirs.Epoch)
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// conns keeps one connection per peer address, so that a later epoch finds it.
type conns struct {
	dial []grpc.DialOption

	mu   sync.Mutex
	open map[string]*grpc.ClientConn
}

// get returns the connection to addr, and whether it was kept from before.
func (c *conns) get(addr string) (cc *grpc.ClientConn, kept bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cc := c.open[addr]; cc != nil {
		cc.ResetConnectBackoff()
		return cc, true, nil
	}
	if cc, err = grpc.NewClient(target(addr), c.dial...); err != nil {
		return nil, false, fmt.Errorf("address %q: %w", addr, err)
	}
	if c.open == nil {
		c.open = map[string]*grpc.ClientConn{}
	}
	c.open[addr] = cc
	return cc, false, nil
}

// drop closes a connection, so that the next get makes another one.
func (c *conns) drop(addr string, cc *grpc.ClientConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[addr] == cc {
		delete(c.open, addr)
	}
	cc.Close()
}

// keep closes all connections but those to addrs.
func (c *conns) keep(addrs map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for addr, cc := range c.open {
		if !addrs[addr] {
			cc.Close()
			delete(c.open, addr)
		}
	}
}
