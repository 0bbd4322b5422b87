//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"github.com/sullae/sullae/kernels"
)

// ropeTable is a RopeTable on the device: all cosines, then all sines.
type ropeTable struct {
	mem *memory
	sin uint64
}

// maxRopes are kept: a backend that loads another share gets another table.
const maxRopes = 2

// turn is a Rope that is held back: those of queries and keys are done together with
// the writing of the keys (attention.cu, rope_write).
type turn struct {
	x          uint64
	heads, dim int
	table      *ropeTable
	half, rows int
	pos        uint64
}

// Rope: see kernels.Backend. A table is copied to the device once, and stays there until
// several others have come.
func (b *Backend) Rope(x kernels.Buffer, heads, headDim int, pos []int32, t *kernels.RopeTable) {
	must(2*t.Half <= headDim && x.Len() >= len(pos)*heads*headDim, "Rope", "%d rows of %d heads of %d in %d values, half %d", len(pos), heads, headDim, x.Len(), t.Half)
	for _, p := range pos {
		must(p >= 0 && (int(p)+1)*t.Half <= len(t.Cos), "Rope", "position %d of %d", p, len(t.Cos)/max(t.Half, 1))
	}
	if len(pos) == 0 {
		return
	}
	defer b.device.enter()()
	r := b.ropeOf(t)
	if r == nil {
		return
	}
	next := turn{dev(x).at, heads, headDim, r, t.Half, len(pos), send(b, pos)}
	if len(b.turns) != 1 || !b.turns[0].alike(next) {
		b.settle()
	}
	b.turns, b.idle = append(b.turns, next), false
}

// ropeOf is a table on the device; nil if there is no memory for it, which b.err says.
func (b *Backend) ropeOf(t *kernels.RopeTable) *ropeTable {
	if r := b.ropes[t]; r != nil {
		return r
	}
	if len(b.ropes) == maxRopes {
		b.freeRopes()
	}
	m, err := b.alloc(8 * len(t.Cos))
	if err != nil {
		b.note(err)
		return nil
	}
	r := &ropeTable{m, m.at + uint64(4*len(t.Cos))}
	b.copyIn(m.at, bytesOf(t.Cos))
	b.copyIn(r.sin, bytesOf(t.Sin))
	b.ropes[t] = r
	return r
}

func (b *Backend) freeRopes() {
	b.wait() // what is queued may still use them
	for _, r := range b.ropes {
		r.mem.free()
	}
	clear(b.ropes)
}

// alike reports whether two turn the same rows by the same angles.
func (t turn) alike(o turn) bool {
	t.x, t.heads = o.x, o.heads
	return t == o
}

func (b *Backend) launchTurns(list []turn) {
	for _, t := range list {
		b.launch("rope", grid{t.rows, t.heads, 1}, t.x, t.table.mem.at, t.table.sin, t.pos, uint64(t.heads), uint64(t.dim), uint64(t.half))
	}
}
