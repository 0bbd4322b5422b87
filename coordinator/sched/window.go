package sched

// unseen is the number of first blocks that hold nothing which a row at position
// pos, or a later one, reads.
func (s *Scheduler) unseen(pos int) int {
	if s.cfg.Window == 0 {
		return 0
	}
	return max(0, pos-s.cfg.Window+1) / s.cfg.BlockSize
}

// slide gives back the blocks of a running sequence that its window has left. It
// may be called while steps that read them are in flight: whoever gets them next
// writes them in a later step. What the prefix cache is to know is published
// first.
func (s *Scheduler) slide(q *sequence) {
	n := s.unseen(q.planned)
	if s.cfg.PrefixCache {
		n = min(n, q.published)
	}
	if n > q.freed {
		s.pool.Return(q.blocks[q.freed:n])
		q.freed = n
	}
}

// blocksFor is the most blocks that a sequence holds at once while n tokens of it
// are computed, the first of them freed.
func (s *Scheduler) blocksFor(n, freed int) int {
	all := s.pool.For(n) - freed
	if s.cfg.Window == 0 {
		return all
	}
	// Blocks that a window and a step's rows overlap. Tokens of the steps in flight
	// are not published yet.
	return min(all, s.pool.For(max(s.cfg.Window-1, s.cfg.Depth)+s.cfg.MaxBatchedTokens)+1)
}
