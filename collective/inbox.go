package collective

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sullae/sullae/collective/link"
)

// maxQueuedBytes bounds what a peer may send ahead. A peer is ahead by one
// collective at most, because it cannot finish that one without us.
const maxQueuedBytes = 2 << 30

// inbox holds what one peer sent and no collective has taken yet, in order.
type inbox struct {
	frames []link.Frame
	head   int
	bytes  int
	ended  error // the peer said goodbye; no frame will follow
}

func (b *inbox) empty() bool { return b.head == len(b.frames) }

func (b *inbox) push(f link.Frame) {
	if b.head == len(b.frames) || b.head > 64 {
		n := copy(b.frames, b.frames[b.head:])
		clear(b.frames[n:])
		b.frames, b.head = b.frames[:n], 0
	}
	b.frames = append(b.frames, f)
	b.bytes += f.PayloadBytes()
}

// blocked is what the collective in progress waits for.
type blocked struct {
	tag   Tag
	since time.Time // zero: it does not wait
	peers []bool    // whose frames are missing
	to    int       // the peer that does not take our frame; -1: none
}

// receiver takes frames off one peer's link.
type receiver struct {
	polled link.Polled // nil: receive alone takes frames

	mu    sync.Mutex // held from taking a frame until it is in its inbox
	seq   uint64     // frames taken
	ended bool       // a polled link has failed
}

// receive reads from one peer until its link ends.
func (g *Group) receive(p int, l link.Link) {
	r := &g.rx[p]
	for {
		var f link.Frame
		var err error
		if r.polled != nil {
			err = r.polled.Wait()
			for g.poll(p) {
			}
		} else if f, err = l.Recv(); err == nil {
			g.deliver(p, f)
		}
		if err != nil {
			g.ended(p, err)
			return
		}
	}
}

// poll takes the next frame of p off a polled link, if there is one.
func (g *Group) poll(p int) bool {
	r := &g.rx[p]
	if r.polled == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	f, ok, err := r.polled.TryRecv()
	switch {
	case err != nil:
		r.ended = true
		g.ended(p, err)
	case ok:
		g.deliver(p, f)
	}
	return ok
}

// deliver puts a frame into its inbox.
func (g *Group) deliver(p int, f link.Frame) {
	r := &g.rx[p]
	if err := g.admit(p, &f, r.seq); err != nil {
		f.Release()
		g.fail(err)
		return
	}
	r.seq++
	g.mu.Lock()
	if g.err != nil {
		g.mu.Unlock()
		f.Release()
		return
	}
	b := &g.inboxes[p]
	b.push(f)
	tooMuch := b.bytes > maxQueuedBytes
	wake := !g.blocked.since.IsZero() && g.blocked.peers[p]
	g.mu.Unlock()
	if tooMuch {
		g.fail(g.errorf("%w: rank %d sent over %d bytes ahead", ErrMismatch, p, maxQueuedBytes))
	}
	if wake {
		g.signal()
	}
}

// admit checks what every frame of this link must have.
func (g *Group) admit(p int, f *link.Frame, seq uint64) error {
	differ := func(what string, theirs, ours any) error {
		return g.errorf("%w on the %s: rank %d sent %v where %v was due, in a frame of epoch %d %s",
			ErrMismatch, what, p, theirs, ours, f.Epoch, frameTag(f))
	}
	switch {
	case f.Group != g.hash:
		return differ("group", fmt.Sprintf("%#x", f.Group), fmt.Sprintf("%#x", g.hash))
	case f.Epoch != g.cfg.Epoch:
		return differ("epoch", f.Epoch, g.cfg.Epoch)
	case int(f.Source) != p:
		return differ("rank", f.Source, p)
	case f.Seq != seq:
		return differ("order of frames", f.Seq, seq)
	}
	return nil
}

func frameTag(f *link.Frame) Tag {
	return Tag{Step: f.Step, Layer: f.Layer, Op: Op(f.Op), Check: f.Check}
}

// ended notes that no more frames come from p.
func (g *Group) ended(p int, err error) {
	bye, said := errors.AsType[*link.Bye](err)
	switch {
	case said && !bye.Failed:
		// What it sent before may be all that we need of it.
		g.mu.Lock()
		g.inboxes[p].ended = err
		g.mu.Unlock()
		g.signal()
	case errors.Is(err, link.ErrCorrupt):
		g.fail(g.errorf("%w: rank %d: %w", ErrMismatch, p, err))
	default:
		g.fail(g.errorf("%w: rank %d: %w", ErrPeerLost, p, err))
	}
}

func (g *Group) signal() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// pop takes the next frame of p, if there is one.
func (g *Group) pop(p int) (f link.Frame, ok bool) {
	if f, ok = g.popInbox(p); !ok && g.poll(p) {
		f, ok = g.popInbox(p)
	}
	return f, ok
}

func (g *Group) popInbox(p int) (f link.Frame, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := &g.inboxes[p]
	if g.err != nil || b.empty() {
		return f, false
	}
	f = b.frames[b.head]
	b.frames[b.head] = link.Frame{}
	b.head++
	b.bytes -= f.PayloadBytes()
	s := &g.stats.Peers[p]
	s.FramesRecv++
	s.BytesReceived += uint64(f.PayloadBytes())
	return f, true
}

// await waits until a frame lies ready from a peer that need names.
func (g *Group) await(need []bool) error {
	t0 := time.Now()
	g.spin(need, t0)
	armed := false
	defer func() {
		if armed {
			g.arm(need, false)
		}
	}()
	for {
		g.mu.Lock()
		ready, lost := false, -1
		for p, n := range need {
			g.blocked.peers[p] = n
			if b := &g.inboxes[p]; n && !b.empty() {
				ready = true
			} else if n && b.ended != nil {
				lost = p
			}
		}
		switch {
		case g.err != nil:
			g.mu.Unlock()
			return g.err
		case lost >= 0 && !ready:
			tag, err := g.blocked.tag, g.inboxes[lost].ended
			g.mu.Unlock()
			return g.fail(g.errorf("%s: %w: rank %d: %w", tag, ErrPeerLost, lost, err))
		}
		now := time.Now()
		for p, n := range need {
			if n {
				g.stats.Peers[p].WaitSeconds += now.Sub(t0).Seconds()
			}
		}
		t0 = now
		if ready {
			g.mu.Unlock()
			g.unblock()
			return nil
		}
		if !armed {
			g.mu.Unlock()
			armed = true
			g.arm(need, true)
			continue
		}
		if g.blocked.since.IsZero() {
			g.block(now, -1)
		}
		g.mu.Unlock()
		g.sleep(need)
	}
}

// block starts the clock of a wait; mu is held.
func (g *Group) block(now time.Time, to int) {
	g.blocked.since, g.blocked.to = now, to
	g.timer.Reset(g.cfg.Timeout)
}

func (g *Group) unblock() {
	g.mu.Lock()
	g.blocked.since = time.Time{}
	g.timer.Stop()
	g.mu.Unlock()
}

// expire ends the epoch if the wait in progress has lasted too long.
func (g *Group) expire() {
	g.mu.Lock()
	since, tag := g.blocked.since, g.blocked.tag
	g.mu.Unlock()
	if since.IsZero() || time.Since(since) < g.cfg.Timeout {
		return
	}
	g.fail(g.errorf("%s: %w: %s for %v", tag, ErrTimeout, g.whom(), g.cfg.Timeout))
}

// whom names the peers that the collective in progress waits for.
func (g *Group) whom() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.blocked.since.IsZero() {
		return "no peer is due"
	}
	if g.blocked.to >= 0 {
		return fmt.Sprintf("rank %d takes no frames", g.blocked.to)
	}
	var due []string
	for p, n := range g.blocked.peers {
		if n && g.inboxes[p].empty() {
			due = append(due, fmt.Sprint("rank ", p))
		}
	}
	return "nothing from " + strings.Join(due, ", ")
}
