// Package shmlink carries frames between processes of one host through memory that
// both map: a ring of bytes each way, and a bell for who sleeps. It rests on
// another link, which says goodbye, breaks when the peer ends, and is the way that
// the two find each other (link/grpc); frames alone leave it.
//
// A rank that waits looks into the ring by itself for a while (collective.Group),
// which takes a microsecond where a goroutine, a thread and a processor that have
// to be woken take fifty.
package shmlink

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/sullae/sullae/collective/link"
)

// Link is a link.Polled over shared memory.
type Link struct {
	control link.Link
	bell    bell
	unmap   func()

	space chan struct{} // capacity 1: the bell rang, for Send
	rung  chan struct{} // capacity 1: the bell rang, for Wait
	down  chan struct{} // closed by Close
	gone  chan struct{} // closed when control has ended; err says why
	err   error
	once  sync.Once
	wg    sync.WaitGroup

	tx struct {
		sync.Mutex
		ring *ring // nil once unmapped
		head [link.HeaderBytes]byte
	}
	rx struct {
		sync.Mutex
		ring *ring // nil once unmapped
		// The frame that is coming.
		head    [link.HeaderBytes]byte
		got     int // bytes of head and payload
		payload *link.Buffer
	}
}

// bell is a connection whose bytes mean: look into the rings.
type bell interface {
	io.ReadCloser
	// Ring sends a byte; it does not wait.
	Ring()
}

var (
	errDown = errors.New("the link was closed")
	// errFrame is a frame that control carries, where only a goodbye should be.
	errFrame = fmt.Errorf("%w: a frame past the shared memory", link.ErrCorrupt)
)

// newLink is the link over region, of which this end writes into out; it owns all
// that it is given. Frames were neither sent nor received yet.
func newLink(control link.Link, b bell, in, out *ring, unmap func()) *Link {
	l := &Link{control: control, bell: b, unmap: unmap,
		space: make(chan struct{}, 1), rung: make(chan struct{}, 1), down: make(chan struct{}), gone: make(chan struct{})}
	l.rx.ring, l.tx.ring = in, out
	l.wg.Go(l.listen)
	l.wg.Go(func() {
		f, err := control.Recv()
		if err == nil {
			f.Release()
			err = errFrame
		}
		l.err = err
		close(l.gone)
	})
	return l
}

// listen passes the bell's ringing on, until it is closed. A peer that hangs up
// ends control too, which says why.
func (l *Link) listen() {
	var b [64]byte
	for {
		if _, err := l.bell.Read(b[:]); err != nil {
			return
		}
		for _, c := range []chan struct{}{l.rung, l.space} {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}

// Send implements link.Link.
func (l *Link) Send(h *link.Header, payload *link.Buffer) error {
	l.tx.Lock()
	defer l.tx.Unlock()
	if err := h.Encode(&l.tx.head, payload); err != nil {
		return err
	}
	if err := l.write(l.tx.head[:]); err != nil {
		return err
	}
	if payload != nil {
		if err := l.write(payload.Bytes()); err != nil {
			return err
		}
	}
	if l.tx.ring.publish() {
		l.bell.Ring()
	}
	return nil
}

// write puts all of p; tx is held. Where the ring is full it has the peer read,
// which does so whatever it is doing.
func (l *Link) write(p []byte) error {
	for asked := false; ; {
		if err := l.ended(); err != nil {
			return err // the ring may be gone
		}
		n, err := l.tx.ring.put(p)
		if err != nil {
			return err
		}
		if p = p[n:]; len(p) == 0 {
			if asked {
				l.tx.ring.shared.writerWaits.Store(0)
			}
			return nil
		}
		l.tx.ring.publish()
		l.bell.Ring()
		if !asked {
			l.tx.ring.shared.writerWaits.Store(1)
			asked = true
			continue // room may have come before the peer could see that we wait
		}
		select {
		case <-l.space:
		case <-l.down:
		case <-l.gone:
		}
	}
}

// ended is why nothing can be sent any more.
func (l *Link) ended() error {
	select {
	case <-l.down:
		return errDown
	default:
	}
	select {
	case <-l.gone:
		return fmt.Errorf("it reads no more: %w", l.err)
	default:
		return nil
	}
}

// TryRecv implements link.Polled.
func (l *Link) TryRecv() (link.Frame, bool, error) {
	l.rx.Lock()
	defer l.rx.Unlock()
	rx := &l.rx
	if rx.ring == nil {
		return link.Frame{}, false, errDown
	}
	before := rx.ring.pos
	whole, err := l.fill()
	if rx.ring.pos != before && rx.ring.free() {
		l.bell.Ring()
	}
	if err != nil || !whole {
		return link.Frame{}, false, err
	}
	payload := rx.payload
	rx.got, rx.payload = 0, nil
	f, err := link.Decode([][]byte{rx.head[:], payload.Bytes()})
	if err != nil {
		payload.Release()
		return link.Frame{}, false, err
	}
	f.Owner = payload
	return f, true, nil
}

// fill reads what there is of the frame that is coming, and reports whether it is
// whole; rx is held.
func (l *Link) fill() (whole bool, err error) {
	rx := &l.rx
	if rx.got < link.HeaderBytes {
		n, err := rx.ring.get(rx.head[rx.got:])
		if rx.got += n; err != nil || rx.got < link.HeaderBytes {
			return false, err
		}
		size, err := link.PayloadBytes(&rx.head)
		if err != nil {
			return false, err
		}
		rx.payload = link.NewBuffer(size)
	}
	rest := rx.payload.Bytes()[rx.got-link.HeaderBytes:]
	n, err := rx.ring.get(rest)
	rx.got += n
	return n == len(rest), err
}

// Arm implements link.Polled.
func (l *Link) Arm(on bool) {
	l.rx.Lock()
	defer l.rx.Unlock()
	if l.rx.ring == nil {
		return
	}
	waits := uint32(0)
	if on {
		waits = 1
	}
	l.rx.ring.shared.readerWaits.Store(waits)
}

// Wait implements link.Polled.
func (l *Link) Wait() error {
	select {
	case <-l.rung:
		return nil
	case <-l.gone:
		return l.err
	}
}

// Recv implements link.Link.
func (l *Link) Recv() (link.Frame, error) {
	l.Arm(true)
	defer l.Arm(false)
	for {
		f, ok, err := l.TryRecv()
		if ok || err != nil {
			return f, err
		}
		if err := l.Wait(); err != nil {
			if f, ok, _ := l.TryRecv(); ok { // sent before the goodbye
				return f, nil
			}
			return link.Frame{}, err
		}
	}
}

// Close implements link.Link.
func (l *Link) Close(b link.Bye) {
	l.once.Do(func() {
		close(l.down)
		l.control.Close(b)
		l.bell.Close()
		l.wg.Wait()
		l.tx.Lock()
		defer l.tx.Unlock()
		l.rx.Lock()
		defer l.rx.Unlock()
		if l.rx.payload != nil {
			l.rx.payload.Release()
		}
		l.tx.ring, l.rx.ring = nil, nil
		l.unmap()
	})
}
