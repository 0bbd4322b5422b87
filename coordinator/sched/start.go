package sched

import "slices"

// start moves waiting sequences to running for as long as there is room. They
// are taken in turn, and none overtakes one for which there is no room: it would
// never come to its turn.
func (s *Scheduler) start() {
	s.calls++
	for s.waiting.len > 0 && s.slotFor(s.waiting.levels[0].priority) {
		q := s.waiting.next(s.calls)
		if q == nil {
			return
		}
		hits, later := s.cachedPrefix(q)
		if later {
			q.deferred = s.calls
			continue
		}
		if !s.makeRoom(q, hits) {
			return
		}
		s.waiting.remove(q)
		s.run(q, hits)
	}
}

// slotFor tells whether a sequence of a priority may run as far as the number of
// sequences goes.
func (s *Scheduler) slotFor(priority int) bool {
	n := len(s.running)
	return n < s.cfg.MaxSeqs || s.running[n-1].Priority > priority
}

// run makes q, for which there is room, a running sequence.
func (s *Scheduler) run(q *sequence, hits []int32) {
	s.starts++
	q.start = s.starts
	q.blocks = hits
	q.published = s.spans(q)
	q.planned = q.published * s.cfg.BlockSize
	q.slid = q.planned
	s.pool.Acquire(s.owned(hits, q.slid), 0)
	if s.cfg.PrefixCache && !q.counted {
		q.counted = true
		s.queries += uint64(len(q.tokens))
		s.hits += uint64(q.planned)
	}
	s.announce(q)
	s.running = slices.Insert(s.running, s.place(q), q)
}

// makeRoom tells whether q can start: there must be blocks for all its tokens
// beside what the running ones still lack for theirs, or prompts would preempt
// each other half-way. Where there are not, running sequences of lower priority
// are preempted, if that helps.
func (s *Scheduler) makeRoom(q *sequence, hits []int32) bool {
	cached := len(hits) / s.groups()
	slid := cached * s.cfg.BlockSize
	hits = s.owned(hits, slid)
	need := s.lacking(len(q.tokens), cached, slid)
	for _, r := range s.running {
		need += s.lacks(r)
	}
	slots, free := s.cfg.MaxSeqs-len(s.running), s.pool.Free()
	var victims []*sequence
	given := map[int32]int{} // owners that the victims would take away
	for i := len(s.running) - 1; ; i-- {
		idle := 0 // hits that are counted as free and won't be
		for _, b := range hits {
			if s.pool.Owners(b) == given[b] {
				idle++
			}
		}
		if slots > 0 && need+idle <= free {
			break
		}
		for i >= 0 && s.running[i].done() {
			i--
		}
		if i < 0 || s.running[i].Priority <= q.Priority {
			return false
		}
		v := s.running[i]
		victims = append(victims, v)
		slots++
		need -= s.lacks(v)
		for _, b := range s.owned(v.blocks, v.slid) {
			if given[b]++; given[b] == s.pool.Owners(b) {
				free++
			}
		}
	}
	for _, v := range victims {
		s.preempt(v)
	}
	return true
}

// lacks is the number of blocks that a running sequence's tokens still need.
func (s *Scheduler) lacks(q *sequence) int {
	if q.done() {
		return 0
	}
	return s.lacking(len(q.tokens)+q.pending, s.spans(q), q.slid)
}

func (s *Scheduler) preempt(q *sequence) {
	s.putBack(q)
	s.preempted++
}
