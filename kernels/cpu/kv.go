package cpu

import (
	"fmt"

	"github.com/sullae/sullae/kernels"
)

// keyTile is how many consecutive positions' keys stand side by side.
const keyTile = stripWidth

// kvPool is a paged pool. Values are kept position by position; keys are kept
// transposed, in tiles of 16 positions (or a whole block, if that is smaller),
// so that a product with a query gives 16 scores in 16 lanes as a weight strip
// gives 16 outputs, and no lane is ever added to another:
//
//	keys   [layer][kvHead][block][tile][headDim][tile size]
//	values [layer][kvHead][block][slot][pad]   pad = headDim rounded up to 16
type kvPool struct {
	cfg          kernels.KVConfig
	tile         int // positions of a key tile
	pad          int
	keys, values *region
	k, v         []float32 // the regions as float32
}

func (p *kvPool) Config() kernels.KVConfig { return p.cfg }
func (p *kvPool) Bytes() int64             { return int64(len(p.keys.data)) + int64(len(p.values.data)) }

func (p *kvPool) Free() {
	p.k, p.v = nil, nil
	p.keys.Free()
	p.values.Free()
}

// NewKV reserves a pool of zeros; memory is used as blocks are first written.
// BlockSize must divide 256 and HeadDim be a multiple of 8.
func (b *Backend) NewKV(cfg kernels.KVConfig) (kernels.KV, error) {
	if cfg.Layers <= 0 || cfg.Blocks <= 0 || cfg.KVHeads <= 0 || cfg.HeadDim <= 0 || cfg.BlockSize <= 0 {
		return nil, fmt.Errorf("cpu: KV pool %+v is empty", cfg)
	}
	if chunk%cfg.BlockSize != 0 || cfg.HeadDim%8 != 0 {
		return nil, fmt.Errorf("cpu: KV pool %+v: the block size must divide %d, the head size be a multiple of 8", cfg, chunk)
	}
	p := &kvPool{cfg: cfg, tile: min(keyTile, cfg.BlockSize), pad: (cfg.HeadDim + 15) &^ 15}
	slots := cfg.Layers * cfg.KVHeads * cfg.Blocks * cfg.BlockSize
	var err error
	if p.keys, err = newRegion(4 * slots * cfg.HeadDim); err != nil {
		return nil, err
	}
	if p.values, err = newRegion(4 * slots * p.pad); err != nil {
		p.keys.Free()
		return nil, err
	}
	p.k, p.v = p.keys.floats(), p.values.floats()
	return p, nil
}

// slot is the number of a block's first slot within the whole pool.
func (p *kvPool) slot(layer, head int, block int32) int {
	c := &p.cfg
	if block < 0 || int(block) >= c.Blocks {
		panic(fmt.Sprintf("cpu: KV block %d of %d", block, c.Blocks))
	}
	return ((layer*c.KVHeads+head)*c.Blocks + int(block)) * c.BlockSize
}

// key is the index in p.k of element 0 of the key at slot i of the block whose
// first slot is first; element d follows d·p.tile later.
func (p *kvPool) key(first, i int) int {
	return (first+i/p.tile*p.tile)*p.cfg.HeadDim + i%p.tile
}

// WriteKV stores k and v at each sequence's positions.
//
//	k, v [rows, kvHeads, headDim]
func (b *Backend) WriteKV(kv kernels.KV, layer int, k, v kernels.Buffer, seqs []kernels.SeqRows) {
	p := kv.(*kvPool)
	c := &p.cfg
	ks, vs := host(k), host(v)
	width := c.KVHeads * c.HeadDim
	must(layer >= 0 && layer < c.Layers, "WriteKV", "layer %d of %d", layer, c.Layers)
	for _, s := range seqs {
		must(len(s.Blocks)*c.BlockSize >= s.Pos+s.N && len(ks) >= (s.Row+s.N)*width && len(vs) >= (s.Row+s.N)*width,
			"WriteKV", "rows [%d, %d) at position %d with %d blocks of %d; k has %d values, v %d",
			s.Row, s.Row+s.N, s.Pos, len(s.Blocks), c.BlockSize, len(ks), len(vs))
		b.pool.run(s.N, rowGrain(width), func(_, lo, hi int) {
			for i := lo; i < hi; i++ {
				pos := s.Pos + i
				for h := range c.KVHeads {
					from := (s.Row+i)*width + h*c.HeadDim
					p.write(p.slot(layer, h, s.Blocks[pos/c.BlockSize]), pos%c.BlockSize, ks[from:][:c.HeadDim], vs[from:][:c.HeadDim])
				}
			}
		})
	}
}

func (p *kvPool) write(first, i int, k, v []float32) {
	to := p.k[p.key(first, i):]
	for d, x := range k {
		to[d*p.tile] = x
	}
	copy(p.v[(first+i)*p.pad:], v)
}
