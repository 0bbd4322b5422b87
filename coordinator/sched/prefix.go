package sched

import "github.com/sullae/sullae/coordinator/block"

// extendHashes names the blocks that q's known tokens fill.
func (s *Scheduler) extendHashes(q *sequence) {
	if !s.cfg.PrefixCache {
		return
	}
	size := s.cfg.BlockSize
	h := block.Root
	if s.long(q) {
		h = h.Next(nil) // other keys and values, other names
	}
	if n := len(q.hashes); n > 0 {
		h = q.hashes[n-1]
	}
	for n := len(q.hashes); (n+1)*size <= len(q.tokens); n++ {
		h = h.Next(q.tokens[n*size : (n+1)*size])
		q.hashes = append(q.hashes, h)
	}
}

// cachedPrefix finds the blocks that q, which waits, need not compute. later
// means that it should wait for more: a running sequence that comes before it is
// about to compute the block that follows. So the choices of one request, and
// requests that come together with one long prefix, compute it once. q can't be
// kept waiting for ever, since what comes before it in the order of running
// doesn't depend on q, and ends.
//
// For n hits a group needs those of n blocks that are not behind its window at the
// next position; where the others are not cached any more, any block stands for
// them.
func (s *Scheduler) cachedPrefix(q *sequence) (hits []int32, later bool) {
	size, limit := s.cfg.BlockSize, min(len(q.hashes), q.skippable()/s.cfg.BlockSize)
	found := 0                       // hits that can be used
	begin := make([]int, s.groups()) // where each group's run of cached blocks begins
search:
	for n := range limit {
		whole := true
		for g, w := range s.cfg.Windows {
			b, ok := s.pool.Lookup(q.hashes[n].Of(g))
			hits = append(hits, b)
			if !ok {
				if w == 0 {
					break search
				}
				begin[g] = n + 1
			}
			whole = whole && begin[g] <= s.unseen(g, (n+1)*size)
		}
		if whole {
			found = n + 1
		}
	}
	if found < limit {
		r := s.computing[q.hashes[found]]
		later = r != nil && r.before(q)
	}
	return hits[:found*s.groups()], later
}

// CachedTokens is how many of a prompt's tokens a sequence would find in the
// prefix cache now. It changes nothing.
func (s *Scheduler) CachedTokens(prompt []int32) int {
	q := sequence{tokens: prompt}
	s.extendHashes(&q)
	hits, _ := s.cachedPrefix(&q)
	return len(hits) / s.groups() * s.cfg.BlockSize
}

// publish puts q's full blocks into the prefix cache, for steps planned from now
// on. Pending tokens have no hash yet, and drafts may be refused: neither counts.
func (s *Scheduler) publish(q *sequence) {
	for n := q.published; n < len(q.hashes) && (n+1)*s.cfg.BlockSize <= q.planned; n++ {
		for g := range s.groups() {
			s.pool.Publish(q.blocks[n*s.groups()+g], q.hashes[n].Of(g))
		}
		if s.computing[q.hashes[n]] == q {
			delete(s.computing, q.hashes[n])
		}
		q.published = n + 1
	}
}

// announce says which blocks q, which starts, is going to compute.
func (s *Scheduler) announce(q *sequence) {
	for _, h := range q.hashes[q.published:] {
		if s.computing[h] == nil {
			s.computing[h] = q
		}
	}
}

func (s *Scheduler) forgetComputing(q *sequence) {
	for _, h := range q.hashes[q.published:] {
		if s.computing[h] == q {
			delete(s.computing, h)
		}
	}
}
