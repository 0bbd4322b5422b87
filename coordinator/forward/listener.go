// Package forward lets a coordinator that stands by take its share of clients:
// their connections are passed on, byte for byte, to the coordinator that leads.
// TLS, keys and both APIs so work as they do there, and nothing in between has to
// know who leads. Ahead of the bytes goes the client's address (PROXY protocol).
package forward

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Place says where a new connection belongs. The zero value: nowhere yet, because
// another coordinator is about to lead or this one is about to serve.
type Place struct {
	Here bool
	Addr string // of the leader's listener
	Key  string // the leader's; "": it understands no PROXY header
}

// Patience is how long a connection waits for a place; it covers a failover. Then
// it is served here, where it hears why nobody serves.
const Patience = 10 * time.Second

const (
	lookAgain   = 50 * time.Millisecond
	dialTimeout = 2 * time.Second
	// maxForwarded bounds the connections that wait or are passed on.
	maxForwarded = 8192
)

// Listener accepts the connections that are to be served here, and passes the
// others on.
type Listener struct {
	net.Listener
	key   string
	place func() Place
	log   *slog.Logger

	// ctx ends with Close, relays with Wait's.
	ctx, relays      context.Context
	closing, cutting context.CancelFunc

	here   chan net.Conn
	failed chan error    // of the inner listener, once
	slots  chan struct{} // one for each connection that waits or is passed on
	wg     sync.WaitGroup

	mu     sync.Mutex
	placed map[net.Conn]Place // connections that stand, and where they were put
}

// Listen wraps l. By its key (NewKey) other coordinators say where connections come
// from. place is asked for every connection, from many goroutines.
func Listen(l net.Listener, key string, place func() Place, log *slog.Logger) *Listener {
	f := &Listener{Listener: l, key: key, place: place, log: log,
		here: make(chan net.Conn), failed: make(chan error, 1), slots: make(chan struct{}, maxForwarded), placed: map[net.Conn]Place{}}
	f.ctx, f.closing = context.WithCancel(context.Background())
	f.relays, f.cutting = context.WithCancel(context.Background())
	f.wg.Go(f.accept)
	f.wg.Go(f.sweep)
	return f
}

// Accept returns the next connection that is to be served here.
func (f *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-f.here:
		return c, nil
	case err := <-f.failed:
		f.failed <- err // for whoever calls again
		return nil, err
	case <-f.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close accepts no more, and ends the connections that still wait; those that are
// passed on go on until Wait.
func (f *Listener) Close() error {
	err := f.Listener.Close()
	f.closing()
	return err
}

// Wait waits until all connections that were passed on have ended; those left
// when ctx ends are cut.
func (f *Listener) Wait(ctx context.Context) {
	done := make(chan struct{})
	go func() { f.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		f.cutting()
		<-done
	}
}
