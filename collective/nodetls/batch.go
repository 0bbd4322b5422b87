package nodetls

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
)

// batchBytes is how much cipher text goes to the network at once. TLS hands over
// records of 16 KiB one by one; fewer, larger writes wake the peer less often. It
// is not larger, so that one end encrypts while the other decrypts.
const batchBytes = 64 << 10

// batch is a raw connection beneath TLS that collects the records of one Write.
type batch struct {
	net.Conn
	in *bufio.Reader

	mu      sync.Mutex
	holding bool
	out     []byte
}

func newBatch(raw net.Conn) *batch { return &batch{Conn: raw, in: bufio.NewReaderSize(raw, batchBytes)} }

func (b *batch) Read(p []byte) (int, error) { return b.in.Read(p) }

// Write implements net.Conn; what TLS sends by itself is not held back.
func (b *batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.holding {
		return b.Conn.Write(p)
	}
	b.out = append(b.out, p...)
	if len(b.out) < batchBytes {
		return len(p), nil
	}
	return len(p), b.flush()
}

func (b *batch) hold() {
	b.mu.Lock()
	b.holding = true
	b.mu.Unlock()
}

func (b *batch) release() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holding = false
	return b.flush()
}

// flush sends what is held; mu is held too.
func (b *batch) flush() error {
	if len(b.out) == 0 {
		return nil
	}
	_, err := b.Conn.Write(b.out)
	b.out = b.out[:0]
	return err
}

// conn is TLS over a batch. gRPC has one goroutine that writes.
type conn struct {
	net.Conn // TLS
	under    *batch
	writing  atomic.Bool
}

func (c *conn) Write(p []byte) (int, error) {
	c.writing.Store(true)
	defer c.writing.Store(false)
	c.under.hold()
	n, err := c.Conn.Write(p)
	if rerr := c.under.release(); err == nil {
		err = rerr
	}
	return n, err
}

// Close says goodbye, unless a write is stuck: then that must end first.
func (c *conn) Close() error {
	if c.writing.Load() {
		c.under.Conn.Close()
	}
	return c.Conn.Close()
}
