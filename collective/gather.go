package collective

import (
	"context"
	"time"

	"github.com/sullae/sullae/collective/link"
)

// maxGatherBytes bounds what a peer may announce for an all-gather.
const maxGatherBytes = 1 << 30

// gatherLayout marks frames of all-gathers.
const gatherLayout = 0x6174686572

// AllGather implements Communicator.
func (g *Group) AllGather(ctx context.Context, tag Tag, data []byte) ([][]byte, error) {
	end, err := g.begin(ctx, tag)
	if err != nil {
		return nil, err
	}
	defer end()
	t0, me, n := time.Now(), g.cfg.Rank, g.cfg.WorldSize
	if len(data) > maxGatherBytes {
		return nil, g.fail(g.errorf("%s: %d bytes to gather, at most %d travel", tag, len(data), maxGatherBytes))
	}
	if g.gathered == nil {
		g.gathered = make([][]byte, n)
	}
	for p := range g.gathered {
		g.gathered[p] = g.gathered[p][:0]
	}
	g.gathered[me] = append(g.gathered[me], data...)

	chunk := g.cfg.options().ChunkBytes
	need := make([]bool, n)
	for p := range need {
		need[p] = p != me
	}
	for sent, missing := 0, n-1; ; {
		progress := false
		if lo := sent * chunk; n > 1 && (sent == 0 || lo < len(data)) {
			part := data[lo:min(lo+chunk, len(data))]
			d := gatherDue(len(data), lo, len(part))
			b := link.NewBuffer(len(part))
			copy(b.Bytes(), part)
			err := g.others(func(p int) error { return g.send(p, tag, &d, b) })
			b.Release()
			if err != nil {
				return nil, err
			}
			sent++
			progress = true
		}
		for p := range need {
			for need[p] {
				f, ok := g.pop(p)
				if !ok {
					break
				}
				progress = true
				last, err := g.collect(p, tag, &f)
				f.Release()
				if err != nil {
					return nil, g.fail(err)
				}
				if last {
					need[p] = false
					missing--
				}
			}
		}
		if progress {
			continue
		}
		if missing == 0 {
			break
		}
		if err := g.await(need); err != nil {
			return nil, err
		}
	}
	g.finished(&g.stats.AllGathers, t0)
	return g.gathered, nil
}

func gatherDue(total, offset, count int) due {
	return due{phase: link.PhaseGather, layout: gatherLayout, total: uint64(total), offset: uint64(offset),
		count: uint32(count), parts: 1, width: 1}
}

// collect appends a frame of rank p to what it has sent so far and reports
// whether it was its last. Sizes differ by rank, so the first frame tells.
func (g *Group) collect(p int, tag Tag, f *link.Frame) (last bool, err error) {
	got, total := len(g.gathered[p]), f.Total
	d := gatherDue(int(min(total, maxGatherBytes)), got, f.PayloadBytes())
	if err := g.check(p, f, tag, &d); err != nil {
		return false, err
	}
	for _, piece := range f.Pieces {
		g.gathered[p] = append(g.gathered[p], piece...)
	}
	got = len(g.gathered[p])
	if got > int(total) || f.PayloadBytes() == 0 && total > 0 {
		return false, g.errorf("%s: %w on the size: rank %d sent %d bytes of %d", tag, ErrMismatch, p, got, total)
	}
	return got == int(total), nil
}
