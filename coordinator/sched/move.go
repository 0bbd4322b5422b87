package sched

// Moved is a sequence on its way from one scheduler to another, with the tokens
// that it has.
type Moved struct{ q *sequence }

// Detach takes a waiting sequence out, to be attached to another scheduler.
func (s *Scheduler) Detach(id uint64) Moved {
	q := s.byID[id]
	if q == nil || q.start != 0 {
		panic("sched: detaching a sequence that does not wait")
	}
	s.drop(q)
	return Moved{q}
}

// Attach queues a sequence that another scheduler of the same model gave away,
// under an id of this one's. It waits where its arrival puts it (Config.Arrivals),
// and is never refused for the number of those that are here; ErrTooLong is where the
// KV pool is too small for it.
func (s *Scheduler) Attach(id uint64, m Moved) error {
	r := m.q.Request
	if err := s.fitsEver(r); err != nil {
		return err
	}
	r.ID = id
	s.enqueue(&sequence{Request: r, arrival: m.q.arrival, tokens: m.q.tokens, hash: m.q.hash, scored: m.q.scored, charged: m.q.charged, counted: m.q.counted})
	return nil
}
