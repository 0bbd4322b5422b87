package engine

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/packcache"
	"github.com/sullae/sullae/shard/plan"
)

// unitKind is a kind of the units in which packed weights are kept on disk.
type unitKind struct {
	name  string
	once  bool // not one for each layer
	roles []model.Role
	// of are the units in a share; share is the share that is unit i alone.
	of    func(u plan.Units, s plan.Share) tree.Range
	share func(u plan.Units, i int) plan.Share
}

var unitKinds = []unitKind{
	{"head", false, []model.Role{model.Q, model.O},
		func(_ plan.Units, s plan.Share) tree.Range { return s.Heads },
		func(_ plan.Units, i int) plan.Share { return plan.Share{Heads: one(i)} }},
	{"kv", false, []model.Role{model.K, model.V},
		plan.Units.KVRange,
		func(u plan.Units, i int) plan.Share { return plan.Share{Heads: one(i * (u.Heads / u.KVHeads))} }},
	{"mlp", false, []model.Role{model.Gate, model.Up, model.Down},
		func(_ plan.Units, s plan.Share) tree.Range { return s.MLP },
		func(_ plan.Units, i int) plan.Share { return plan.Share{MLP: one(i)} }},
	{"vocab", true, []model.Role{model.Embed, model.Head},
		func(_ plan.Units, s plan.Share) tree.Range { return s.Vocab },
		func(_ plan.Units, i int) plan.Share { return plan.Share{Vocab: one(i)} }},
}

func one(i int) tree.Range { return tree.Range{Lo: i, Hi: i + 1} }

// kindOf is the kind of the units that hold parts of a weight.
func kindOf(role model.Role) *unitKind {
	for i := range unitKinds {
		if slices.Contains(unitKinds[i].roles, role) {
			return &unitKinds[i]
		}
	}
	return nil
}

// openUnits are the units of a layer that were looked for; nil: not there.
type openUnits map[packcache.Key]*packcache.Unit

func (o openUnits) close() {
	for k, u := range o {
		if u != nil {
			u.Close()
		}
		delete(o, k)
	}
}

// key is the key of a unit of this checkpoint.
func (l *loader) key(st kernels.Storer, k *unitKind, layer, index int) packcache.Key {
	return unitKey(l.CheckpointID, st, l.Format, k, layer, index)
}

func unitKey(checkpointID string, st kernels.Storer, f kernels.Format, k *unitKind, layer, index int) packcache.Key {
	if k.once {
		layer = 0
	}
	return packcache.Key{Checkpoint: checkpointID, Layout: st.Layout(), Format: f.String(), Layer: layer, Kind: k.name, Index: index}
}

// fetches is how many units are fetched from peers at a time.
const fetches = 8

// find looks for the units of a layer (or for those that there are once) that the
// old share lacks: on disk, and at other workers.
func (l *loader) find(layer int, once bool) {
	st, ok := l.Backend.(kernels.Storer)
	if !ok || l.Cache == nil && l.Peers == nil {
		return
	}
	l.units = openUnits{}
	var missing []packcache.Key
	for i := range unitKinds {
		k := &unitKinds[i]
		if k.once != once {
			continue
		}
		var had tree.Range
		if l.Old.format == l.Format && l.Old.plan.Units == l.Plan.Units {
			had = k.of(l.Old.plan.Units, l.Old.share)
		}
		units := k.of(l.Plan.Units, l.Plan.Shares[l.Rank])
		for index := units.Lo; index < units.Hi; index++ {
			if index >= had.Lo && index < had.Hi {
				continue
			}
			key := l.key(st, k, layer, index)
			if l.Cache != nil {
				l.units[key] = l.Cache.Get(key)
			}
			if l.units[key] == nil && l.Peers != nil {
				missing = append(missing, key)
			}
		}
	}
	found := make([]*packcache.Unit, len(missing))
	var wg errgroup.Group
	wg.SetLimit(fetches)
	for i, key := range missing {
		wg.Go(func() error { found[i] = l.Peers.Unit(l.ctx, key); return nil })
	}
	_ = wg.Wait()
	for i, key := range missing {
		l.units[key] = found[i]
	}
}

// segment is a weight's part of a unit that was found; nil if it was not.
func (l *loader) segment(st kernels.Storer, role model.Role, layer, index int) []byte {
	u := l.units[l.key(st, kindOf(role), layer, index)]
	if u == nil {
		return nil
	}
	return u.Segment(role.String())
}

// used counts bytes of a unit as loaded from where it was found.
func (l *loader) used(st kernels.Storer, role model.Role, layer, index, n int) {
	if l.units[l.key(st, kindOf(role), layer, index)].OnDisk() {
		l.cached += int64(n)
	} else {
		l.fromPeers += int64(n)
	}
}

// unitSlice is a unit's part of a weight within the rank's own slice of it.
type unitSlice struct {
	index  int
	plan   plan.Plan  // of the unit alone
	rows   tree.Range // of the rank's slice
	leaves tree.Range
}

// slicesOf cuts the rank's slice of a weight into units.
func slicesOf(s *model.Spec, p plan.Plan, rank int, role model.Role) []unitSlice {
	k := kindOf(role)
	own, leaves := p.Slice(s, rank, role), leavesOf(p, rank, role)
	var out []unitSlice
	units := k.of(p.Units, p.Shares[rank])
	for i := units.Lo; i < units.Hi; i++ {
		alone := plan.Plan{Units: p.Units, Shares: []plan.Share{k.share(p.Units, i)}}
		at := alone.Slice(s, 0, role)
		out = append(out, unitSlice{i, alone, shift(at.Rows, -own.Rows.Lo), shift(leavesOf(alone, 0, role), -leaves.Lo)})
	}
	return out
}

func shift(r tree.Range, by int) tree.Range { return tree.Range{Lo: r.Lo + by, Hi: r.Hi + by} }

// pieces are what is packed already of the rank's slice of a matrix: in the old
// share, and in units on disk that the old share lacks.
func (l *loader) pieces(role model.Role, layer int, info checkpoint.Info, old kernels.Weight) []kernels.Piece {
	st, ok := l.Backend.(kernels.Storer)
	if !ok {
		return nil
	}
	var out []kernels.Piece
	var have kernels.Piece
	if old != nil && l.Old.format == l.Format {
		now, had := l.Plan.Slice(l.Spec, l.Rank, role), l.Old.plan.Slice(l.Spec, l.Old.rank, role)
		leaves, hadLeaves := leavesOf(l.Plan, l.Rank, role), leavesOf(l.Old.plan, l.Old.rank, role)
		rows, ls := overlap(now.Rows, had.Rows), overlap(leaves, hadLeaves)
		if !rows.Empty() && !ls.Empty() {
			have = kernels.Piece{From: old, Rows: shift(rows, -had.Rows.Lo), Leaves: shift(ls, -hadLeaves.Lo),
				Row: rows.Lo - now.Rows.Lo, Leaf: ls.Lo - leaves.Lo}
			out = append(out, have)
		}
	}
	for _, u := range slicesOf(l.Spec, l.Plan, l.Rank, role) {
		if have.From != nil && within(u.rows, have.Row, have.Rows.Len()) && within(u.leaves, have.Leaf, have.Leaves.Len()) {
			continue
		}
		data := l.segment(st, role, layer, u.index)
		if data == nil {
			continue
		}
		alone := stored(info, l.Spec.Tensor(role, layer), u.plan.Slice(l.Spec, 0, role))
		spec := weightSpec(l.Spec, u.plan, 0, role, alone, l.Format)
		w, err := st.FromPacked(spec, data)
		if err != nil {
			continue // of another cut; it is made anew
		}
		l.used(st, role, layer, u.index, len(data))
		out = append(out, kernels.Piece{From: w, Rows: tree.Range{Hi: u.rows.Len()}, Leaves: tree.Range{Hi: u.leaves.Len()}, Row: u.rows.Lo, Leaf: u.leaves.Lo})
	}
	return out
}

// tablePieces are what is at hand of the rank's rows of a table.
func (l *loader) tablePieces(role model.Role, rowBytes int, old kernels.Table) []tablePiece {
	st, ok := l.Backend.(kernels.Storer)
	if !ok {
		return nil
	}
	var out []tablePiece
	now := l.Plan.Slice(l.Spec, l.Rank, role).Rows
	if old != nil {
		had := l.Old.plan.Slice(l.Spec, l.Old.rank, role).Rows
		if rows := overlap(now, had); !rows.Empty() {
			data, err := st.TableRows(old, rows.Lo-had.Lo, rows.Len())
			if err != nil {
				l.err = err
				return nil
			}
			out = append(out, tablePiece{shift(rows, -now.Lo), data})
		}
	}
	for _, u := range slicesOf(l.Spec, l.Plan, l.Rank, role) {
		if len(out) > 0 && within(u.rows, out[0].rows.Lo, out[0].rows.Len()) {
			continue
		}
		if data := l.segment(st, role, 0, u.index); len(data) == u.rows.Len()*rowBytes && len(data) > 0 {
			l.used(st, role, 0, u.index, len(data))
			out = append(out, tablePiece{u.rows, data})
		}
	}
	return out
}

// overlap is what two ranges have in common.
func overlap(a, b tree.Range) tree.Range {
	r := tree.Range{Lo: max(a.Lo, b.Lo), Hi: min(a.Hi, b.Hi)}
	if r.Empty() {
		return tree.Range{}
	}
	return r
}

func within(r tree.Range, from, n int) bool { return r.Lo >= from && r.Hi <= from+n }

// Store writes the units of the share that the cache lacks. It may run beside
// steps, from one goroutine, until ctx ends or Free is due; it returns the bytes
// written.
func (m *Model) Store(ctx context.Context, st kernels.Storer, cache *packcache.Cache, checkpointID string) (written int64, err error) {
	for i := range unitKinds {
		k := &unitKinds[i]
		layers := len(m.layers)
		if k.once {
			layers = 1
		}
		units := k.of(m.plan.Units, m.share)
		for layer := range layers {
			for index := units.Lo; index < units.Hi; index++ {
				if err := ctx.Err(); err != nil {
					return written, err
				}
				key := unitKey(checkpointID, st, m.format, k, layer, index)
				if cache.Has(key) {
					continue
				}
				segments, err := m.segments(st, k, layer, index)
				if err != nil {
					return written, err
				}
				if err := cache.Put(key, segments); err != nil {
					return written, err
				}
				for _, s := range segments {
					written += int64(len(s.Data))
				}
			}
		}
	}
	return written, nil
}

// Holds are the units [lo, hi) of each kind, of all layers, that the share has.
func (m *Model) Holds() map[string]tree.Range {
	out := map[string]tree.Range{}
	for i := range unitKinds {
		if r := unitKinds[i].of(m.plan.Units, m.share); !r.Empty() {
			out[unitKinds[i].name] = r
		}
	}
	return out
}

// Format is how the matrices are kept.
func (m *Model) Format() kernels.Format { return m.format }

// Unit is one unit of the share as the bytes of its file; nil if the share lacks
// it. It may run beside steps, not beside Free.
func (m *Model) Unit(st kernels.Storer, k packcache.Key) ([]byte, error) {
	for i := range unitKinds {
		kind := &unitKinds[i]
		units := kind.of(m.plan.Units, m.share)
		if kind.name == k.Kind && k.Index >= units.Lo && k.Index < units.Hi && k.Layer >= 0 && k.Layer < len(m.layers) &&
			unitKey(k.Checkpoint, st, m.format, kind, k.Layer, k.Index) == k {
			segments, err := m.segments(st, kind, k.Layer, k.Index)
			if err != nil {
				return nil, err
			}
			return packcache.Encode(k, segments)
		}
	}
	return nil, nil
}

// segments are one unit of the share as bytes.
func (m *Model) segments(st kernels.Storer, k *unitKind, layer, index int) (out []packcache.Segment, err error) {
	for _, role := range k.roles {
		for _, u := range slicesOf(m.spec, m.plan, m.rank, role) {
			if u.index != index {
				continue
			}
			var data []byte
			if role == model.Embed {
				data, err = st.TableRows(m.embed, u.rows.Lo, u.rows.Len())
			} else {
				data, err = st.Extract(*m.weight(role, layer), u.rows, u.leaves)
			}
			if err != nil {
				return nil, err
			}
			out = append(out, packcache.Segment{Name: role.String(), Data: data})
		}
	}
	return out, nil
}

// weight is where the model keeps a matrix.
func (m *Model) weight(role model.Role, layer int) *kernels.Weight {
	ly := m.layer(layer)
	switch role {
	case model.Q:
		return &ly.q
	case model.K:
		return &ly.k
	case model.V:
		return &ly.v
	case model.O:
		return &ly.o
	case model.Gate:
		return &ly.gate
	case model.Up:
		return &ly.up
	case model.Down:
		return &ly.down
	}
	return &m.head
}
