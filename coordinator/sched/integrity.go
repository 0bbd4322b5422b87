package sched

import "fmt"

// CheckIntegrity reports the first broken invariant: blocks lost or owned by
// somebody unknown, lists out of order, sequences in no list or in two.
func (s *Scheduler) CheckIntegrity() error {
	if err := s.pool.CheckIntegrity(); err != nil {
		return err
	}
	waiting := s.waiting.all()
	if len(s.running)+len(waiting) != len(s.byID) || len(waiting) != s.waiting.len {
		return fmt.Errorf("sched: %d running and %d waiting (counted %d) of %d sequences", len(s.running), len(waiting), s.waiting.len, len(s.byID))
	}
	owners := map[int32]int{}
	for i, q := range s.running {
		switch {
		case s.byID[q.ID] != q || q.start == 0:
			return fmt.Errorf("sched: sequence %d runs unknown", q.ID)
		case i > 0 && !s.running[i-1].before(q):
			return fmt.Errorf("sched: sequence %d runs before %d", s.running[i-1].ID, q.ID)
		case len(q.blocks)%s.groups() != 0, q.planned > s.spans(q)*s.cfg.BlockSize || q.planned > len(q.tokens)+q.pending || q.sent > len(q.blocks), q.slid > q.planned:
			return fmt.Errorf("sched: sequence %d: %d positions planned of %d+%d tokens in %d blocks", q.ID, q.planned, len(q.tokens), q.pending, len(q.blocks))
		case q.MaxTokens > 0 && q.generated() > q.MaxTokens, q.pending > len(s.flight):
			return fmt.Errorf("sched: sequence %d: %d tokens of %d, %d pending in %d steps", q.ID, q.generated(), q.MaxTokens, q.pending, len(s.flight))
		}
		for _, b := range s.owned(q.blocks, q.slid) {
			owners[b]++
		}
	}
	tokens := 0
	for _, q := range waiting {
		if s.byID[q.ID] != q || q.start != 0 || q.known || len(q.blocks)+q.planned+q.pending > 0 {
			return fmt.Errorf("sched: sequence %d waits unknown or with blocks", q.ID)
		}
		tokens += len(q.tokens)
	}
	if tokens != s.waiting.tokens {
		return fmt.Errorf("sched: %d tokens wait, %d counted", tokens, s.waiting.tokens)
	}
	for b := range int32(s.pool.Total()) {
		if s.pool.Owners(b) != owners[b] {
			return fmt.Errorf("sched: block %d has %d owners, %d sequences hold it", b, s.pool.Owners(b), owners[b])
		}
	}
	for _, q := range s.computing {
		if s.byID[q.ID] != q || q.start == 0 {
			return fmt.Errorf("sched: sequence %d is to compute a block, but does not run", q.ID)
		}
	}
	return s.tenants.check(s.byID)
}

func (ts *tenants) check(seqs map[uint64]*sequence) error {
	live := map[*tenant]int{}
	for _, q := range seqs {
		live[q.tenant]++
	}
	for t, n := range live {
		if ts.byName[t.name] != t || t.live != n {
			return fmt.Errorf("sched: tenant %q has %d unfinished sequences, counted %d", t.name, n, t.live)
		}
	}
	if len(live) != ts.live {
		return fmt.Errorf("sched: %d tenants have unfinished sequences, %d counted", len(live), ts.live)
	}
	return nil
}
