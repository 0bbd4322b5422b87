package cpu

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
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
//
// in elements of cfg.Type. With 8-bit elements the scales of a key and of a value
// stand apart:
//
//	scales [layer][kvHead][block][slot][2]
type kvPool struct {
	cfg                  kernels.KVConfig
	tile                 int // positions of a key tile
	pad                  int
	keys, values, scales *region
	k, v                 []byte
	scale                []float32 // nil but for 8-bit elements
}

func (p *kvPool) Config() kernels.KVConfig { return p.cfg }
func (p *kvPool) Bytes() int64             { return int64(len(p.k)) + int64(len(p.v)) + 4*int64(len(p.scale)) }

func (p *kvPool) Free() {
	p.k, p.v, p.scale = nil, nil, nil
	for _, r := range []*region{p.keys, p.values, p.scales} {
		if r != nil {
			r.Free()
		}
	}
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
	slots, size := cfg.Layers*cfg.KVHeads*cfg.Blocks*cfg.BlockSize, cfg.Type.ElementBytes()
	reserve := func(to **region, n int) (err error) {
		*to, err = newRegion(n)
		return err
	}
	err := errors.Join(reserve(&p.keys, size*slots*cfg.HeadDim), reserve(&p.values, size*slots*p.pad))
	if cfg.Type == kernels.KVQ8 {
		err = errors.Join(err, reserve(&p.scales, 2*4*slots))
	}
	if err != nil {
		p.Free()
		return nil, err
	}
	p.k, p.v = p.keys.data, p.values.data
	if p.scales != nil {
		p.scale = p.scales.floats()
	}
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

// key is the place among the keys' elements of element 0 of the key at slot i of
// the block whose first slot is first; element d follows d·p.tile later.
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
	rows := 0
	for _, s := range seqs {
		if len(s.Blocks)*c.BlockSize < s.Pos+s.N || len(ks) < (s.Row+s.N)*width || len(vs) < (s.Row+s.N)*width {
			broken("WriteKV", "rows [%d, %d) at position %d with %d blocks of %d; k has %d values, v %d",
				s.Row, s.Row+s.N, s.Pos, len(s.Blocks), c.BlockSize, len(ks), len(vs))
		}
		rows += s.N
	}
	b.pool.run(rows, rowGrain(8*width), func(_, lo, hi int) {
		first := 0 // of the sequence, among all rows
		for i := range seqs {
			s := &seqs[i]
			for r := max(lo-first, 0); r < min(hi-first, s.N); r++ {
				pos := s.Pos + r
				for h := range c.KVHeads {
					from := (s.Row+r)*width + h*c.HeadDim
					p.write(p.slot(layer, h, s.Blocks[pos/c.BlockSize]), pos%c.BlockSize, ks[from:][:c.HeadDim], vs[from:][:c.HeadDim])
				}
			}
			first += s.N
		}
	})
}

// write stores a head's key and value at slot i of the block whose first slot is
// first.
func (p *kvPool) write(first, i int, k, v []float32) {
	to := kvWriter{t: p.cfg.Type}
	if p.scale != nil {
		to.scale = p.scale[2*(first+i):]
	}
	to.vector(p.k, p.key(first, i), p.tile, k)
	if p.scale != nil {
		to.scale = to.scale[1:]
	}
	to.vector(p.v, (first+i)*p.pad, 1, v)
}

// kvWriter rounds vectors to a type (reference.RoundKV).
type kvWriter struct {
	t     kernels.KVType
	scale []float32 // where the scale goes, if there is one
}

// vector stores x at elements at, at+step ... of mem.
func (w kvWriter) vector(mem []byte, at, step int, x []float32) {
	switch w.t {
	case kernels.KVF32:
		to := bytesAsFloats(mem)[at:]
		if step == 1 {
			copy(to, x)
			return
		}
		for d, v := range x {
			to[d*step] = v
		}
	case kernels.KVF16:
		for d, v := range x {
			binary.LittleEndian.PutUint16(mem[2*(at+d*step):], tensor.Float32ToF16(v))
		}
	case kernels.KVBF16:
		for d, v := range x {
			binary.LittleEndian.PutUint16(mem[2*(at+d*step):], tensor.Float32ToBF16(v))
		}
	case kernels.KVQ8:
		scale, inv := quantScale(x)
		w.scale[0] = scale
		for d, v := range x {
			n := int32(0)
			if inv != 0 {
				n = roundInt(float32(v * inv))
			}
			mem[at+d*step] = byte(n)
		}
	}
}

// widenKV reads len(dst) elements of type t, from element at of mem on.
func widenKV(dst []float32, mem []byte, at int, t kernels.KVType) {
	mem = mem[at*t.ElementBytes():]
	switch t {
	case kernels.KVF32:
		tensor.Widen(dst, mem, tensor.F32)
	case kernels.KVF16:
		tensor.Widen(dst, mem, tensor.F16)
	case kernels.KVBF16:
		tensor.Widen(dst, mem, tensor.BF16)
	case kernels.KVQ8:
		for i := range dst {
			dst[i] = float32(int8(mem[i]))
		}
	}
}
