package sched

import "math"

// long means that q's keys and values are those of sequences of more than
// LongAfter tokens.
func (s *Scheduler) long(q *sequence) bool {
	return s.cfg.LongAfter > 0 && len(q.tokens) > s.cfg.LongAfter
}

// validUntil is up to how many tokens q's keys and values are as they are now.
func (s *Scheduler) validUntil(q *sequence) int {
	if s.cfg.LongAfter == 0 || s.long(q) {
		return math.MaxInt
	}
	return s.cfg.LongAfter
}

// again puts q, which has just become long, back into the queue, where it has the
// place that its arrival gives it.
func (s *Scheduler) again(q *sequence) {
	s.putBack(q)
	q.until = s.validUntil(q)
	q.hashes = nil
	s.extendHashes(q)
}
