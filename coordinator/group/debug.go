package group

import "github.com/sullae/sullae/coordinator/sched"

// DebugScheduler is the scheduler's state for a person: figures, and every
// sequence with its blocks.
func (g *Group) DebugScheduler() any {
	g.mu.Lock()
	defer g.mu.Unlock()
	return struct {
		Stats     sched.Stats
		Sequences []sched.SequenceState
	}{g.sched.Stats(), g.sched.Sequences()}
}

// DebugBlocks is the block table: which sequences hold each block of the KV pool.
func (g *Group) DebugBlocks() any {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sched.Stats()
	holders := map[int32][]uint64{}
	for _, q := range g.sched.Sequences() {
		for _, b := range q.Blocks {
			holders[b] = append(holders[b], q.ID)
		}
	}
	return struct {
		BlockSize, Used, Cached, Empty int
		Holders                        map[int32][]uint64 // sequences, by block
	}{g.cfg.BlockSize, s.BlocksUsed, s.BlocksCached, s.BlocksEmpty, holders}
}
