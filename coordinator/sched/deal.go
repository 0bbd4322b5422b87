package sched

import (
	"cmp"
	"slices"
)

// deal shares out the step's rows. Sequences that lack a single row, which are
// those that decode, come first; what is left goes to prompts. Only where the
// budget is smaller than the number of running sequences does one row stay for
// the first in order, if it is a prompt: it must move in every step.
func (s *Scheduler) deal() {
	budget, kept := s.cfg.MaxBatchedTokens, 0
	streams, first := 0, true
	var prompts []*sequence
	for _, q := range s.running {
		q.rows = 0
		if q.streams() {
			streams++
		}
		want := q.wants()
		switch {
		case want > 1:
			prompts = append(prompts, q)
			if first {
				kept = 1
			}
		case want == 1 && budget > kept:
			q.rows = 1
			budget--
		}
		first = first && want == 0
	}
	if streams > 0 && s.cfg.MaxPrefillChunk > 0 {
		budget = min(budget, s.cfg.MaxPrefillChunk)
	}
	// Where more wait for their first token than for the next one, prompts go first.
	if s.pace > 0 && len(prompts)+s.waiting.len <= streams {
		budget = min(budget, s.pace)
	}
	for len(prompts) > 0 && budget > 0 {
		n := 1
		for n < len(prompts) && prompts[n].Priority == prompts[0].Priority {
			n++
		}
		budget -= dealPrompts(prompts[:n], budget)
		prompts = prompts[n:]
	}
}

// dealPrompts shares rows among prompts of one priority, the oldest first, and
// returns how many it gave. The oldest has half, so that each is done some day,
// however many short ones come; then the tenant that was served the least, and
// of its prompts the shortest to go: a short prompt needn't wait for a long one.
// What they leave goes to the oldest.
func dealPrompts(prompts []*sequence, rows int) int {
	left := rows
	give := func(q *sequence, n int) {
		n = min(n, q.wants()-q.rows)
		q.rows += n
		left -= n
	}
	oldest := prompts[0]
	give(oldest, (rows+1)/2)
	rest := slices.Clone(prompts[1:])
	slices.SortFunc(rest, func(a, b *sequence) int {
		return cmp.Or(cmp.Compare(a.tenant.served, b.tenant.served), cmp.Compare(a.wants(), b.wants()), cmp.Compare(a.arrival, b.arrival))
	})
	for _, q := range rest {
		give(q, left)
	}
	give(oldest, left)
	return rows - left
}
