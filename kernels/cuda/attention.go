//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"fmt"
	"math/bits"

	"github.com/sullae/sullae/kernels"
)

const (
	// attnChunk is how many positions are one step of the online softmax
	// (attention.cu, CHUNK); chunks begin at its multiples.
	attnChunk = 256
	maxDim    = 256
)

// kvPool is keys and values, [layer][block][slot][kv head][dim] each, and for
// kernels.KVQ8 the scales of their vectors, [layer][block][slot][kv head].
type kvPool struct {
	cfg                     kernels.KVConfig
	keys, values            *memory
	keyScales, valuesScales *memory
}

func (p *kvPool) Config() kernels.KVConfig { return p.cfg }

func (p *kvPool) Bytes() int64 {
	n := int64(0)
	for _, m := range p.all() {
		if m != nil {
			n += int64(m.size)
		}
	}
	return n
}

func (p *kvPool) all() []*memory {
	return []*memory{p.keys, p.values, p.keyScales, p.valuesScales}
}

func (p *kvPool) Free() {
	for _, m := range p.all() {
		m.free()
	}
}

// layer is where a layer's keys, their scales, values and their scales begin.
func (p *kvPool) layer(i int) (at [4]uint64) {
	vectors := i * p.cfg.Blocks * p.cfg.BlockSize * p.cfg.KVHeads
	for j, m := range []*memory{p.keys, p.keyScales, p.values, p.valuesScales} {
		if m != nil {
			size := 4 // of a scale
			if j%2 == 0 {
				size = p.cfg.HeadDim * p.cfg.Type.ElementBytes()
			}
			at[j] = m.at + uint64(vectors*size)
		}
	}
	return at
}

// width is the size of one position, in values.
func (p *kvPool) width() int { return p.cfg.KVHeads * p.cfg.HeadDim }

// NewKV implements kernels.Backend.
func (b *Backend) NewKV(cfg kernels.KVConfig) (kernels.KV, error) {
	if cfg.Layers <= 0 || cfg.Blocks <= 0 || cfg.KVHeads <= 0 || cfg.HeadDim <= 0 || cfg.BlockSize <= 0 || cfg.Type > kernels.KVQ8 {
		return nil, fmt.Errorf("cuda: KV pool %+v is empty or of no known type", cfg)
	}
	if attnChunk%cfg.BlockSize != 0 || cfg.HeadDim%8 != 0 || cfg.HeadDim > maxDim {
		return nil, fmt.Errorf("cuda: KV pool %+v: the block size must divide %d, the head size be a multiple of 8, at most %d", cfg, attnChunk, maxDim)
	}
	p := &kvPool{cfg: cfg}
	vectors := cfg.Layers * cfg.Blocks * cfg.BlockSize * cfg.KVHeads
	size := vectors * cfg.HeadDim * cfg.Type.ElementBytes()
	for _, m := range []struct {
		to   **memory
		size int
	}{{&p.keys, size}, {&p.values, size}, {&p.keyScales, 4 * vectors}, {&p.valuesScales, 4 * vectors}} {
		if (m.to == &p.keyScales || m.to == &p.valuesScales) && cfg.Type != kernels.KVQ8 {
			continue
		}
		var err error
		if *m.to, err = b.alloc(m.size); err != nil {
			p.Free()
			return nil, err
		}
	}
	return p, nil
}

// kvTypes are the pool's types as device.h numbers them.
var kvTypes = [...]uint64{kernels.KVF32: 0, kernels.KVBF16: 1, kernels.KVF16: 2, kernels.KVQ8: 3}

// query is a row of a step as the kernels take it (struct query).
type query struct{ row, pos, table int32 }

// queries lists the rows of a step, and their block tables one after the other.
// Those of a step are filled up to as many as it is laid out for, with rows of -1,
// which kernels pass over.
func (b *Backend) queries(op string, p *kvPool, seqs []kernels.SeqRows) (rows []query, tables []int32) {
	for _, s := range seqs {
		must(len(s.Blocks)*p.cfg.BlockSize >= s.Pos+s.N, op, "positions [%d, %d) with %d blocks of %d", s.Pos, s.Pos+s.N, len(s.Blocks), p.cfg.BlockSize)
		for i := range s.N {
			rows = append(rows, query{int32(s.Row + i), int32(s.Pos + i), int32(len(tables))})
		}
		for _, blk := range s.Blocks {
			must(blk >= 0 && int(blk) < p.cfg.Blocks, op, "block %d of %d", blk, p.cfg.Blocks)
		}
		tables = append(tables, s.Blocks...)
	}
	if len(rows) == b.stepRows {
		for len(rows) < b.stepPadded {
			rows = append(rows, query{row: -1})
		}
	}
	return rows, tables
}

// WriteKV: see kernels.Backend.
func (b *Backend) WriteKV(kv kernels.KV, layer int, k, v kernels.Buffer, seqs []kernels.SeqRows) {
	p := kv.(*kvPool)
	must(layer >= 0 && layer < p.cfg.Layers, "WriteKV", "layer %d of %d", layer, p.cfg.Layers)
	rows, tables := b.queries("WriteKV", p, seqs)
	for _, r := range rows {
		must((int(r.row)+1)*p.width() <= min(k.Len(), v.Len()), "WriteKV", "row %d in %d and %d values", r.row, k.Len(), v.Len())
	}
	if len(rows) == 0 {
		return
	}
	defer b.device.enter()()
	if t := b.turns; len(t) == 2 && t[1].x == dev(k).at && t[1].heads == p.cfg.KVHeads && t[1].dim == p.cfg.HeadDim && inOrder(rows, t[1].rows) {
		b.turns = nil
		b.launch("rope_write", grid{t[0].rows, t[0].heads + p.cfg.KVHeads, 1}, append(p.args(layer), t[0].x, dev(k).at, dev(v).at, t[0].table.mem.at, t[0].table.sin, t[0].pos,
			send(b, rows), send(b, tables), uint64(len(rows)), uint64(t[0].heads), uint64(t[0].half))...)
		return
	}
	b.launch("write_kv", grid{len(rows), p.cfg.KVHeads, 1}, append(p.args(layer), dev(k).at, dev(v).at, send(b, rows), send(b, tables))...)
}

// inOrder reports whether rows are the first of a step of n, one after the other.
func inOrder(rows []query, n int) bool {
	for i, r := range rows {
		if int(r.row) != i && r.row >= 0 {
			return false
		}
	}
	return len(rows) <= n
}

// args are a layer of the pool as the kernels take it (attention.cu, POOL).
func (p *kvPool) args(layer int) []uint64 {
	at := p.layer(layer)
	return []uint64{at[0], at[1], at[2], at[3], uint64(p.cfg.BlockSize), uint64(p.cfg.KVHeads), uint64(p.cfg.HeadDim), kvTypes[p.cfg.Type]}
}

// Attention: see kernels.Backend. A row's chunks of 256 positions are computed
// apart and merged in order.
func (b *Backend) Attention(dst, q kernels.Buffer, kv kernels.KV, spec kernels.AttentionSpec, seqs []kernels.SeqRows) {
	p := kv.(*kvPool)
	must(spec.HeadDim == p.cfg.HeadDim && len(spec.KVHead) == spec.Heads && spec.Layer >= 0 && spec.Layer < p.cfg.Layers,
		"Attention", "%+v on a pool of %+v", spec, p.cfg)
	width := spec.Heads * spec.HeadDim
	rows, tables := b.queries("Attention", p, seqs)
	first, last := 1<<30, 0
	for _, r := range rows {
		must((int(r.row)+1)*width <= min(q.Len(), dst.Len()), "Attention", "row %d in %d and %d values", r.row, q.Len(), dst.Len())
		if r.row < 0 {
			continue
		}
		from := 0
		if spec.Window > 0 {
			from = max(0, int(r.pos)-spec.Window+1)
		}
		first, last = min(first, from/attnChunk), max(last, int(r.pos)/attnChunk)
	}
	if len(rows) == 0 {
		return
	}
	// The query heads of a KV head lie together.
	firstHead := make([]int32, p.cfg.KVHeads+1)
	for i, h := range spec.KVHead {
		must(h >= 0 && h < p.cfg.KVHeads && (i == 0 || h >= spec.KVHead[i-1]), "Attention", "KV heads %v of %d", spec.KVHead, p.cfg.KVHeads)
		firstHead[h+1] = int32(i + 1)
	}
	for h := range p.cfg.KVHeads {
		firstHead[h+1] = max(firstHead[h+1], firstHead[h])
	}
	defer b.device.enter()()
	chunks := 1 << bits.Len(uint(last-first)) // or the next power of two, so that steps are alike for longer
	rowBytes := spec.Heads * chunks * (spec.HeadDim + 2) * 4
	turn := max(1, partBytes/rowBytes)
	for len(rows) > 0 {
		n, merged := min(turn, len(rows)), false
		part := b.scratch(&b.parts, n*rowBytes)
		at := send(b, rows[:n])
		pool := p.args(spec.Layer)
		if b.tensorCores(p, spec) {
			tiles := tilesOf(rows[:n], firstHead)
			kernel := "attend_mma"
			if p.cfg.Type == kernels.KVF16 {
				kernel = "attend_mma_f16"
			}
			blocks, spread := ceilDiv(len(tiles), 4), uint64(0)
			// Fewer warps than would keep memory busy.
			if merged = blocks*p.cfg.KVHeads*chunks < 2*b.device.processors && len(tiles)*p.cfg.KVHeads <= maxTiles; merged {
				blocks, spread = len(tiles), 1
			}
			b.launch(kernel, grid{blocks, p.cfg.KVHeads, chunks}, dev(dst).at, b.ended.at, part, dev(q).at, pool[0], pool[2],
				uint64(p.cfg.BlockSize), uint64(p.cfg.KVHeads), uint64(p.cfg.HeadDim), at, send(b, tables), send(b, tiles), uint64(len(tiles)), send(b, firstHead),
				uint64(spec.Heads), uint64(spec.Window), f32(spec.Scale), uint64(first), uint64(chunks), spread)
		} else {
			b.launch("attend", grid{n, p.cfg.KVHeads, chunks}, append(append([]uint64{part, dev(q).at}, pool...), at, send(b, tables), send(b, firstHead),
				uint64(spec.Heads), uint64(spec.Window), f32(spec.Scale), f32(spec.Cap), uint64(first), uint64(chunks))...)
		}
		if !merged {
			b.launch("attend_merge", grid{n, spec.Heads, 1}, dev(dst).at, part, at, uint64(spec.Heads), uint64(spec.HeadDim), uint64(spec.Window), uint64(first), uint64(chunks))
		}
		rows = rows[n:]
	}
}

// tensorCores reports whether attention rounds queries and weights to the pool's type, for
// the tensor cores. It depends on the model and the pool alone.
func (b *Backend) tensorCores(p *kvPool, spec kernels.AttentionSpec) bool {
	return !b.exact && (p.cfg.Type == kernels.KVBF16 || p.cfg.Type == kernels.KVF16) && spec.HeadDim <= 128 && spec.Cap == 0
}

// attnTile is how many pairs of a row and a query head are one tile (attend_mma.cu).
const attnTile = 16

// rowTile is rows [first, first+n) of one sequence, one after the other (struct tile).
type rowTile struct{ first, n int32 }

// tilesOf cuts rows into tiles, each as many as fit with the heads of the KV head that
// has most.
func tilesOf(rows []query, firstHead []int32) (tiles []rowTile) {
	group := int32(1)
	for h := range len(firstHead) - 1 {
		group = max(group, firstHead[h+1]-firstHead[h])
	}
	width := int32(1)
	for width < min(group, attnTile) {
		width *= 2
	}
	for i, r := range rows {
		if t := len(tiles) - 1; t >= 0 && tiles[t].n < attnTile/width {
			last := rows[i-1]
			if r.row >= 0 && r.table == last.table && r.row == last.row+1 && r.pos == last.pos+1 {
				tiles[t].n++
				continue
			}
		}
		tiles = append(tiles, rowTile{int32(i), 1})
	}
	return tiles
}
