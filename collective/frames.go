package collective

import (
	"fmt"
	"time"

	"github.com/sullae/sullae/collective/link"
)

// due is what the next frame of a phase must say about itself.
type due struct {
	phase  link.Phase
	layout uint64
	total  uint64
	offset uint64
	count  uint32
	parts  int
	width  int // bytes of an element
}

// check compares a frame of rank p with what is due in collective tag.
func (g *Group) check(p int, f *link.Frame, tag Tag, d *due) error {
	differ := func(what string, theirs, ours any) error {
		return g.errorf("%s: %w on the %s: rank %d sent %v where %v was due; theirs is %s check %#x, %d of %d from %d; ours is %s check %#x, %d of %d from %d",
			tag, ErrMismatch, what, p, theirs, ours,
			frameTag(f), f.Check, f.Count, f.Total, f.Offset, tag, tag.Check, d.count, d.total, d.offset)
	}
	hex := func(x uint64) string { return fmt.Sprintf("%#x", x) }
	switch {
	case f.Step != tag.Step:
		return differ("step", f.Step, tag.Step)
	case f.Layer != tag.Layer:
		return differ("layer", f.Layer, tag.Layer)
	case Op(f.Op) != tag.Op:
		return differ("op", Op(f.Op), tag.Op)
	case f.Check != tag.Check:
		return differ("check", hex(f.Check), hex(tag.Check))
	case f.Total != d.total:
		return differ("size", f.Total, d.total)
	case f.Layout != d.layout:
		return differ("layout of shares, hops and chunks", hex(f.Layout), hex(d.layout))
	case f.Phase != d.phase:
		return differ("phase", f.Phase, d.phase)
	case f.Offset != d.offset:
		return differ("offset", f.Offset, d.offset)
	case f.Count != d.count || int(f.Parts) != d.parts:
		return differ("parts", fmt.Sprintf("%dx%d", f.Parts, f.Count), fmt.Sprintf("%dx%d", d.parts, d.count))
	case f.PayloadBytes() != d.parts*int(d.count)*d.width:
		return differ("payload", f.PayloadBytes(), d.parts*int(d.count)*d.width)
	}
	return nil
}

// send sends payload, which d describes, to rank p.
func (g *Group) send(p int, tag Tag, d *due, payload *link.Buffer) error {
	h := link.Header{
		Kind: link.KindData, Op: uint8(tag.Op), Phase: d.phase,
		Seq: g.seq[p], Epoch: g.cfg.Epoch, Group: g.hash, Step: tag.Step, Check: tag.Check,
		Layout: d.layout, Total: d.total, Offset: d.offset, Count: d.count,
		Layer: tag.Layer, Source: uint16(g.cfg.Rank), Parts: uint16(d.parts),
	}
	g.mu.Lock()
	if g.err != nil {
		g.mu.Unlock()
		return g.err
	}
	g.block(time.Now(), p)
	g.mu.Unlock()
	err := g.links[p].Send(&h, payload)
	g.mu.Lock()
	g.blocked.since = time.Time{} // the timer is reset or stopped by what follows
	if err == nil {
		s := &g.stats.Peers[p]
		s.FramesSent++
		if payload != nil {
			s.BytesSent += uint64(len(payload.Bytes()))
		}
	}
	g.mu.Unlock()
	if err != nil {
		return g.fail(g.errorf("%s: %w: rank %d: %w", tag, ErrPeerLost, p, err))
	}
	g.seq[p]++
	return nil
}

// others calls do for every other rank, from the next one on, so that not
// everybody sends to the same rank first.
func (g *Group) others(do func(p int) error) error {
	for i := 1; i < g.cfg.WorldSize; i++ {
		if err := do((g.cfg.Rank + i) % g.cfg.WorldSize); err != nil {
			return err
		}
	}
	return nil
}
