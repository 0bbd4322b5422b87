package group

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator/gateway"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/plan"
)

// memoryTimeout bounds the question for a worker's memory.
const memoryTimeout = 5 * time.Second

// kvShare is the part of the memory that weights and a step's values leave which
// the KV pool takes: the rest is for buffers, the Go heap and the system.
const kvShare = 0.8

// memory is what one rank may take, in bytes, and needs without a KV pool.
type memory struct {
	worker                string
	limit                 int64 // in all
	weights, work, kvSlot int64 // kvSlot: of a position's keys and values
}

// tokens is how many positions fit beside the rest.
func (m memory) tokens() int64 {
	return max(int64(kvShare*float64(m.limit-m.weights-m.work)), 0) / max(m.kvSlot, 1)
}

// sizeKV is the number of blocks of the epoch's KV pool: what --kv-tokens says, if
// every rank has room for it, or as many as the rank with the least room can take;
// no more than all sequences that may run at once can use.
func (g *Group) sizeKV(ctx context.Context, e *epoch, all []registry.Worker) (blocks int, err error) {
	spec, size := g.cfg.Checkpoint.Spec(), g.cfg.BlockSize
	ctx, cancel := context.WithTimeout(ctx, memoryTimeout)
	defer cancel()
	told := make([]*clusterv1.GetStatusResponse, len(e.members))
	if err := e.all(ctx, func(ctx context.Context, r int) (err error) {
		if told[r], err = clusterv1.NewWorkerServiceClient(e.conns[r]).GetStatus(ctx, &clusterv1.GetStatusRequest{}); err != nil {
			return &rankError{worker: e.members[r].ID, lost: unreachable(err), err: fmt.Errorf("ask for its memory: %w", plain(err))}
		}
		return nil
	}); err != nil {
		return 0, err
	}
	context := int64(blocksOf(spec.MaxPositions, size) * size)
	asked := int64(g.cfg.KVTokens)
	tokens := cmp.Or(asked, context*int64(g.cfg.MaxSeqs))
	if asked > 0 {
		all = e.members // nothing has to be left for those that may come
	}
	for r, limit := range limits(e.members, told, all) {
		if limit == 0 {
			continue // that system does not tell
		}
		m := memory{worker: e.members[r].ID, limit: limit,
			weights: plan.PackedBytes(spec, e.plan, r, checkpoint.Types(g.cfg.Checkpoint), g.cfg.Quant),
			work:    plan.WorkBytes(spec, e.plan, r, g.cfg.MaxBatchedTokens),
			kvSlot:  plan.KVBytesPerToken(spec, e.plan, r, g.cfg.KVType)}
		switch {
		case asked > m.most():
			return 0, &rankError{worker: m.worker, fatal: true, err: m.tooMany(r, asked)}
		case asked > 0:
		case m.tokens() < context:
			return 0, &rankError{worker: m.worker, fatal: true, err: m.tooSmall(r, context)}
		default:
			tokens = min(tokens, m.tokens())
		}
	}
	g.cfg.Logger.Info("KV pool", "epoch", e.id, "tokens", tokens/int64(size)*int64(size))
	return g.blocks(int(tokens)), nil
}

// most is how many positions fit if nothing is kept back.
func (m memory) most() int64 { return max(m.limit-m.weights-m.work, 0) / max(m.kvSlot, 1) }

// tooMany says what is asked for, and what there is.
func (m memory) tooMany(rank int, tokens int64) error {
	const mb = 1 << 20
	return fmt.Errorf("--kv-tokens %d: rank %d may take %d MB; beside %d MB of weights and %d MB for a step it has room for %d tokens of KV cache",
		tokens, rank, m.limit/mb, m.weights/mb, m.work/mb, m.most())
}

// tooSmall says what would help.
func (m memory) tooSmall(rank int, context int64) error {
	const mb = 1 << 20
	why := fmt.Sprintf("rank %d may take %d MB; %d MB of weights and %d MB for a step leave room for %d tokens of KV cache, less than one context of %d",
		rank, m.limit/mb, m.weights/mb, m.work/mb, m.tokens(), context)
	help := "add workers, give it more memory (--memory, or the container's limit), or take less (--quant, --kv-type, --max-batched-tokens)"
	if m.tokens() > 0 {
		help += fmt.Sprintf("; --kv-tokens %d serves shorter requests", m.tokens())
	}
	return fmt.Errorf("%s: %s", why, help)
}

// limits is what each rank may take: its own limit, or its part of the memory of its host,
// or its GPU, shared alike with all workers that are registered there.
func limits(members []registry.Worker, told []*clusterv1.GetStatusResponse, all []registry.Worker) []int64 {
	type place struct{ host, device string }
	at := func(w registry.Worker) place { return place{w.Hostname, w.Device} }
	there := map[place]int64{}
	for _, w := range all {
		there[at(w)]++
	}
	held := map[place]int64{} // by our ranks already: they give it back, or use it again
	for r, w := range members {
		held[at(w)] += told[r].GetMemoryHeldBytes()
	}
	out := make([]int64, len(members))
	for r, w := range members {
		out[r] = told[r].GetMemoryLimitBytes()
		if free := told[r].GetMemoryFreeBytes(); out[r] == 0 && free > 0 {
			out[r] = (free + held[at(w)]) / max(there[at(w)], 1)
		}
	}
	return out
}

// blocks is how many blocks of the pool keep so many positions: each is one of
// the model's groups of layers (model.KVGroups).
func (g *Group) blocks(tokens int) int {
	return tokens / g.cfg.BlockSize * len(g.cfg.Checkpoint.Spec().KVGroups().Windows)
}

// tokens is how many positions a pool of so many blocks keeps.
func (g *Group) tokens(blocks int) int {
	return blocks / len(g.cfg.Checkpoint.Spec().KVGroups().Windows) * g.cfg.BlockSize
}

func blocksOf(tokens, size int) int { return (tokens + size - 1) / size }

// resize gives the scheduler the epoch's KV pool. Sequences that no longer fit,
// because a worker with more memory is gone, are told so.
func (g *Group) resize(blocks int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, err := range g.sched.Resize(blocks) {
		st := g.seqs[id]
		delete(g.seqs, id)
		st.release()
		st.end(gateway.Event{Err: &gateway.FieldError{Field: "prompt", Problem: err.Error()}})
	}
}
