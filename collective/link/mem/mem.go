// Package memlink links ranks within one process, for tests and for groups of
// one. Frames are encoded as they would be on a wire, and a Hook may lose, delay,
// repeat, damage or withhold them.
package memlink

import (
	"errors"
	"sync"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/link"
)

// ErrKilled is how the links of a killed rank end.
var ErrKilled = errors.New("connection reset")

// Hook decides what becomes of a message, and may keep or change it: what it
// returns is delivered, each after its delay. Messages whose delays differ may
// overtake each other. It is called by several goroutines at once.
type Hook func(from, to int, message []byte) []Delivery

// Delivery is a message that arrives after a delay.
type Delivery struct {
	Message []byte
	After   time.Duration
}

// Options describe a group; the zero value is good.
type Options struct {
	Group string
	Epoch uint64
	collective.Tuning
	Hook   Hook // nil delivers everything at once, without copying
	Pieces int  // if > 0, received payloads are cut into pieces of so many bytes
}

// NewGroup returns the communicators of a group of n ranks.
func NewGroup(n int) []collective.Communicator {
	groups, _ := New(n, Options{})
	out := make([]collective.Communicator, n)
	for i, g := range groups {
		out[i] = g
	}
	return out
}

// New is NewGroup with options; the Net can kill ranks.
func New(n int, o Options) ([]*collective.Group, *Net) {
	net := NewNet(n, o)
	groups := make([]*collective.Group, n)
	for r := range groups {
		g, err := collective.NewGroup(collective.Config{
			Group: o.Group, Epoch: o.Epoch, Rank: r, WorldSize: n, Tuning: o.Tuning,
		}, net.Links(r))
		if err != nil {
			panic(err)
		}
		groups[r] = g
	}
	return groups, net
}

// Net is a full mesh of links between n ranks.
type Net struct {
	links [][]*half
}

// NewNet makes the links of n ranks.
func NewNet(n int, o Options) *Net {
	net := &Net{links: make([][]*half, n)}
	for a := range n {
		net.links[a] = make([]*half, n)
	}
	for a := range n {
		for b := range a {
			x := &half{from: a, to: b, opts: &o, wake: make(chan struct{}, 1), down: make(chan struct{})}
			y := &half{from: b, to: a, opts: &o, wake: make(chan struct{}, 1), down: make(chan struct{})}
			x.peer, y.peer = y, x
			net.links[a][b], net.links[b][a] = x, y
		}
	}
	return net
}

// Links are rank's links, by peer.
func (n *Net) Links(rank int) []link.Link {
	out := make([]link.Link, len(n.links))
	for p, h := range n.links[rank] {
		if h != nil {
			out[p] = h
		}
	}
	return out
}

// Kill breaks all links of rank at once, as the end of its process would.
func (n *Net) Kill(rank int) {
	for _, h := range n.links[rank] {
		if h != nil {
			h.breakOff()
			h.peer.breakOff()
		}
	}
}

// half is one rank's end of a link.
type half struct {
	from, to int
	opts     *Options
	peer     *half

	wake chan struct{} // capacity 1: the inbox has something
	down chan struct{} // closed when this end is

	mu    sync.Mutex
	inbox []message
	err   error // why this end is down
}

// message is a frame on its way: its header, and a payload that is shared until
// everybody has released it.
type message struct {
	head    [link.HeaderBytes]byte
	payload *link.Buffer
	raw     []byte // header and payload, if a hook had it
}

// Release implements link.Releaser.
func (m *message) Release() {
	if m.payload != nil {
		m.payload.Release()
	}
}

// Send implements link.Link.
func (h *half) Send(hd *link.Header, payload *link.Buffer) error {
	h.mu.Lock()
	err := h.err
	h.mu.Unlock()
	if err != nil {
		return err
	}
	m := message{}
	if err := hd.Encode(&m.head, payload); err != nil {
		return err
	}
	if h.opts.Hook == nil {
		if payload != nil {
			payload.Retain()
			m.payload = payload
		}
		h.peer.deliver(m)
		return nil
	}
	raw := append([]byte(nil), m.head[:]...)
	if payload != nil {
		raw = append(raw, payload.Bytes()...)
	}
	for _, d := range h.opts.Hook(h.from, h.to, raw) {
		m := message{raw: d.Message}
		if d.After <= 0 {
			h.peer.deliver(m)
		} else {
			time.AfterFunc(d.After, func() { h.peer.deliver(m) })
		}
	}
	return nil
}

func (h *half) deliver(m message) {
	h.mu.Lock()
	if h.err == nil {
		h.inbox = append(h.inbox, m)
	} else {
		m.Release()
	}
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Recv implements link.Link.
func (h *half) Recv() (link.Frame, error) {
	for {
		h.mu.Lock()
		if len(h.inbox) > 0 {
			m := &h.inbox[0]
			h.inbox = h.inbox[1:]
			h.mu.Unlock()
			return h.decode(m)
		}
		err := h.err
		h.mu.Unlock()
		if err != nil {
			return link.Frame{}, err
		}
		select {
		case <-h.wake:
		case <-h.down:
		}
	}
}

func (h *half) decode(m *message) (link.Frame, error) {
	var pieces [][]byte
	add := func(b []byte) {
		for n := h.opts.Pieces; n > 0 && len(b) > n; b = b[n:] {
			pieces = append(pieces, b[:n])
		}
		pieces = append(pieces, b)
	}
	if m.raw != nil {
		add(m.raw)
	} else {
		add(m.head[:])
		if m.payload != nil {
			add(m.payload.Bytes())
		}
	}
	f, err := link.Decode(pieces)
	if err != nil {
		m.Release()
		return link.Frame{}, err
	}
	f.Owner = m
	return f, nil
}

// Close implements link.Link.
func (h *half) Close(b link.Bye) {
	hd, buf := link.ByeFrame(b)
	h.Send(hd, buf) // an end that is down already needs no goodbye
	buf.Release()
	h.breakOff()
}

// breakOff takes this end down: Recv returns what came before, then an error.
func (h *half) breakOff() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = ErrKilled
		close(h.down)
	}
}
