package engine

import (
	"context"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/packcache"
	"github.com/sullae/sullae/shard/plan"
)

// Model is one rank's share of a model in a backend's memory.
type Model struct {
	spec  *model.Spec
	plan  plan.Plan
	rank  int
	share plan.Share
	// format is how the matrices are kept.
	format kernels.Format

	embed     kernels.Table  // rows of the share's vocabulary range
	head      kernels.Weight // the same rows, as a product; nil if the range is empty
	finalNorm kernels.Buffer
	layers    []layer
	rope      *kernels.RopeTable
	kvHead    []int // local KV head of each local query head

	bytes int64
	// read are bytes that came from the source, cached and fromPeers those that
	// came from packed units on disk, and of other workers.
	read, cached, fromPeers int64
}

// layer holds one layer's weights; the MLP's are nil where the share's MLP
// range is empty.
type layer struct {
	q, k, v, o     kernels.Weight
	gate, up, down kernels.Weight
	// Those that the architecture lacks are nil.
	attnNorm, mlpNorm         kernels.Buffer
	attnPostNorm, mlpPostNorm kernels.Buffer
	qNorm, kNorm              kernels.Buffer
	qBias, kBias, vBias       kernels.Buffer
}

// LoadConfig is what a share is loaded from, and for whom.
type LoadConfig struct {
	Backend kernels.Backend
	Spec    *model.Spec
	Plan    plan.Plan
	Rank    int
	Source  checkpoint.Source
	// Format is how matrices are kept, the same on all ranks; the embedding table
	// and the norms stay as they are stored.
	Format kernels.Format
	// Old is another share of the same checkpoint that is in memory, or nil.
	// What both have is taken from it. Load frees it, weight by weight, unless
	// KeepOld says that it stays, for others that load from it.
	Old     *Model
	KeepOld bool
	// Cache has packed units on disk, those of the checkpoint with this ID among
	// them; nil: there is none. It serves a Backend that is a kernels.Storer.
	Cache        *packcache.Cache
	CheckpointID string
	// Peers has the units that other workers hold; nil: nobody does. It is asked
	// before Source.
	Peers Peers
	// Progress is called with the bytes packed so far and the total; may be nil.
	Progress func(done, total int64)
}

// Peers fetches units that other workers hold.
type Peers interface {
	// Unit is nil where none can be had. It is called concurrently.
	Unit(ctx context.Context, k packcache.Key) *packcache.Unit
}

// Load reads a rank's share and packs it. On error everything is freed, Old too
// unless it is to be kept.
func Load(ctx context.Context, cfg LoadConfig) (_ *Model, err error) {
	spec, p := cfg.Spec, cfg.Plan
	m := &Model{spec: spec, plan: p, rank: cfg.Rank, share: p.Shares[cfg.Rank], format: cfg.Format}
	if cfg.Old == nil {
		cfg.Old = &Model{}
	}
	defer func() {
		if !cfg.KeepOld {
			cfg.Old.Free()
		}
		if err != nil {
			m.Free()
		}
	}()
	u := p.Units
	l := &loader{LoadConfig: cfg, ctx: ctx, total: plan.WeightBytes(spec, p, cfg.Rank, checkpoint.Types(cfg.Source))}
	defer func() { l.units.close() }()
	if cfg.Cache != nil {
		cfg.Cache.Begin()
	}

	heads, kv := m.share.Heads, u.KVRange(m.share)
	group := u.Heads / u.KVHeads
	for h := heads.Lo; h < heads.Hi; h++ {
		m.kvHead = append(m.kvHead, h/group-kv.Lo)
	}
	for i := range spec.Layers {
		m.layers = append(m.layers, layer{})
		l.find(i, false)
		ly, old := &m.layers[i], cfg.Old.layer(i)
		ly.attnNorm, ly.attnPostNorm = l.vector(model.AttnNorm, i), l.vector(model.AttnPostNorm, i)
		ly.mlpNorm, ly.mlpPostNorm = l.vector(model.MLPNorm, i), l.vector(model.MLPPostNorm, i)
		ly.qNorm, ly.kNorm = l.vector(model.QNorm, i), l.vector(model.KNorm, i)
		ly.qBias, ly.kBias, ly.vBias = l.vector(model.QBias, i), l.vector(model.KBias, i), l.vector(model.VBias, i)
		ly.q = l.matrix(model.Q, i, &old.q)
		ly.k = l.matrix(model.K, i, &old.k)
		ly.v = l.matrix(model.V, i, &old.v)
		ly.o = l.matrix(model.O, i, &old.o)
		if !m.share.MLP.Empty() {
			ly.gate = l.matrix(model.Gate, i, &old.gate)
			ly.up = l.matrix(model.Up, i, &old.up)
			ly.down = l.matrix(model.Down, i, &old.down)
		}
		l.units.close()
		if l.err != nil {
			return nil, l.err
		}
	}
	m.finalNorm = l.vector(model.FinalNorm, 0)
	if !m.share.Vocab.Empty() {
		l.find(0, true)
		m.embed = l.table(model.Embed, &cfg.Old.embed)
		l.embed = m.embed
		m.head = l.matrix(model.Head, 0, &cfg.Old.head)
	}
	if l.err != nil {
		return nil, l.err
	}
	m.rope = spec.Rope.Table(spec.MaxPositions)
	m.bytes, m.read, m.cached = plan.PackedBytes(spec, p, cfg.Rank, checkpoint.Types(cfg.Source), cfg.Format), l.read.Load(), l.cached
	m.fromPeers = l.fromPeers
	if cfg.Progress != nil {
		cfg.Progress(l.total, l.total) // norms grow as they are widened
	}
	return m, nil
}

// Bytes is the size of the share's weights, as plan.PackedBytes counts them.
func (m *Model) Bytes() int64 { return m.bytes }

// BytesRead is how much of it Load read from its source.
func (m *Model) BytesRead() int64 { return m.read }

// BytesCached is how much came from packed units on disk.
func (m *Model) BytesCached() int64 { return m.cached }

// BytesFromPeers is how much came from packed units of other workers.
func (m *Model) BytesFromPeers() int64 { return m.fromPeers }

// layer is layer i's weights, none of them if the model is empty.
func (m *Model) layer(i int) *layer {
	if i >= len(m.layers) {
		return &layer{}
	}
	return &m.layers[i]
}

// Free releases the weights.
func (m *Model) Free() {
	free := func(list ...interface{ Free() }) {
		for _, f := range list {
			if f != nil {
				f.Free()
			}
		}
	}
	for i := range m.layers {
		ly := &m.layers[i]
		free(ly.q, ly.k, ly.v, ly.o, ly.gate, ly.up, ly.down)
		free(ly.attnNorm, ly.mlpNorm, ly.attnPostNorm, ly.mlpPostNorm, ly.qNorm, ly.kNorm, ly.qBias, ly.kBias, ly.vBias)
	}
	free(m.finalNorm, m.head, m.embed)
	m.layers, m.head, m.embed, m.finalNorm = nil, nil, nil, nil
}
