package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// accept sorts what comes. It ends with the inner listener.
func (f *Listener) accept() {
	for {
		conn, err := f.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			f.failed <- err
			return
		}
		if err != nil { // too many files are open, say
			f.log.Warn("accept", "address", f.Addr(), "err", err)
			select {
			case <-time.After(lookAgain):
			case <-f.ctx.Done():
			}
			continue
		}
		conn = f.caller(conn)
		if f.place().Here {
			f.serve(conn)
			continue
		}
		select {
		case f.slots <- struct{}{}:
			f.wg.Go(func() {
				defer func() { <-f.slots }()
				f.settle(conn)
			})
		default:
			conn.Close()
		}
	}
}

// serve hands a connection to Accept.
func (f *Listener) serve(conn net.Conn) {
	f.put(conn, Place{Here: true})
	select {
	case f.here <- &served{conn, f}:
	case <-f.ctx.Done():
		f.drop(conn)
		conn.Close()
	}
}

// settle finds a connection its place, and passes it on if that is elsewhere.
func (f *Listener) settle(conn net.Conn) {
	ctx, cancel := context.WithTimeout(f.ctx, Patience)
	defer cancel()
	for {
		p := f.place()
		if p.Here || ctx.Err() != nil {
			f.serve(conn)
			return
		}
		if p.Addr != "" {
			dial := net.Dialer{Timeout: dialTimeout}
			there, err := dial.DialContext(ctx, "tcp", p.Addr)
			if err == nil {
				f.put(conn, p)
				f.relay(conn, there, p.Key)
				f.drop(conn)
				return
			}
			f.log.Debug("the leader takes no connection", "address", p.Addr, "err", err)
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
		}
	}
}

// relay copies both ways until both ends have closed, one has failed, or Wait
// cuts it. With a key b is told first whose connection this is.
func (f *Listener) relay(a, b net.Conn, key string) {
	defer a.Close()
	defer b.Close()
	stop := context.AfterFunc(f.relays, func() { a.Close(); b.Close() })
	defer stop()
	if key != "" {
		h, err := header(a.RemoteAddr(), b.RemoteAddr(), key)
		if err == nil {
			_, err = b.Write(h)
		}
		if err != nil {
			f.log.Debug("a connection is not passed on", "err", err)
			return
		}
	}
	back := make(chan struct{})
	go func() { defer close(back); flow(a, b) }()
	flow(b, a)
	<-back
}

// flow copies from one to the other, and passes on how that ended: an end as a
// half-close, a failure to both.
func flow(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}
