//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import "cmp"

// shareValues is about how many values of a row a block has, where it has not all.
const shareValues = 1024

// rowPass is ops on rows that are one pass over them (rows.cu, pass_rows): what is
// zero is not done.
type rowPass struct {
	x, add   uint64
	up, norm uint64
	dst      uint64
	gelu     bool
	eps      float32
	n        int // elements
	rows, c  int // 0 for ops that know elements only
	// The result as a product takes it; rows are padded to so many.
	rounded, scales, from, ends, chunks uint64
	steps, padded, nChunks              int
	together, between                   int // emit_f16's
	parts, sums                         uint64
	heads                               int // emit_codes'
}

// result is what the ops before rounding make.
func (p *rowPass) result() uint64 {
	if p.up != 0 || p.norm != 0 {
		return p.dst
	}
	return p.x
}

// takes reports whether next can be done in the same pass.
func (p *rowPass) takes(next *rowPass) bool {
	if p.result() != next.x || p.n != next.n || p.c != 0 && next.c != p.c || next.add != 0 {
		return false
	}
	return next.up == 0 && next.norm == 0 || p.up == 0 && p.norm == 0
}

// passRows queues an op, to be done in one pass with those that follow it on the same
// rows. Every result is written as if each were done by itself.
func (b *Backend) passRows(next rowPass) {
	p := b.pass
	if p == nil || !p.takes(&next) {
		b.settle()
		p = &rowPass{x: next.x, add: next.add, n: next.n}
	}
	if next.up != 0 || next.norm != 0 {
		p.up, p.norm, p.dst, p.gelu, p.eps = next.up, next.norm, next.dst, next.gelu, next.eps
	}
	if next.c != 0 {
		p.rows, p.c = next.rows, next.c
	}
	b.pass, b.idle = p, false
	if next.rounded != 0 {
		p.rounded, p.scales, p.from, p.ends, p.chunks, p.steps, p.padded, p.nChunks, p.together, p.between = next.rounded, next.scales, next.from, next.ends, next.chunks, next.steps, next.padded, next.nChunks, next.together, next.between
		p.parts, p.sums, p.heads = next.parts, next.sums, next.heads
		b.settle()
	}
}

// settle queues the ops that were held back.
func (b *Backend) settle() {
	if p := b.pass; p != nil {
		b.pass = nil
		b.launchPass(p)
	}
	if r := b.turns; len(r) > 0 {
		b.turns = nil
		b.launchTurns(r)
	}
}

func (b *Backend) launchPass(p *rowPass) {
	if p.c == 0 {
		g, n := grid{ceilDiv(p.n, 256), 1, 1}, uint64(p.n)
		switch {
		case p.add != 0 && p.up != 0:
			b.launch("add", g, p.x, p.add, n)
			fallthrough
		case p.up != 0:
			b.launch(gateKernel(p.gelu), g, p.dst, p.x, p.up, n)
		default:
			b.launch("add", g, p.x, p.add, n)
		}
		return
	}
	gelu := uint64(0)
	if p.gelu {
		gelu = 1
	}
	kernel, shares := "pass_rows", 1
	switch units := cmp.Or(p.nChunks, p.steps); {
	case p.norm == 0 && p.rounded != 0: // no value needs the rest of its row
		shares = min(ceilDiv(p.c, shareValues), units)
	case p.c > 1024:
		kernel = "pass_long_rows"
	}
	b.launch(kernel, grid{max(p.rows, p.padded), shares, 1}, p.x, p.add, p.up, p.norm, p.dst, p.rounded, p.scales, p.from, p.ends, p.chunks, uint64(p.nChunks),
		uint64(p.rows), uint64(p.c), gelu, uint64(p.steps), f32(p.eps), uint64(p.together), uint64(p.between), p.parts, p.sums, uint64(p.heads))
}

func gateKernel(gelu bool) string {
	if gelu {
		return "gelu_mul"
	}
	return "silu_mul"
}
