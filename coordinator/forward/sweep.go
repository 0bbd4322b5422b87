package forward

import (
	"net"
	"time"
)

// sweepEvery is how often connections are looked at whose place may have changed.
const sweepEvery = 200 * time.Millisecond

// served is a connection that is served here.
type served struct {
	net.Conn
	f *Listener
}

func (c *served) Close() error {
	c.f.drop(c.Conn)
	return c.Conn.Close()
}

// CloseWrite is for those who end one direction.
func (c *served) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

func (f *Listener) put(conn net.Conn, p Place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.placed[conn] = p
}

func (f *Listener) drop(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.placed, conn)
}

// sweep ends connections whose place is elsewhere by now, until Close: one that
// was taken here before another leader was known, or passed on to a leader that
// hangs or is cut off while the next one leads. Their clients call again.
func (f *Listener) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			return
		}
		now := f.place()
		if now == (Place{}) {
			continue // nowhere: they may be right where they are
		}
		f.mu.Lock()
		for conn, p := range f.placed {
			if p != now {
				conn.Close() // whoever serves or relays it drops it
			}
		}
		f.mu.Unlock()
	}
}
