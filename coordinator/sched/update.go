package sched

import (
	"fmt"
	"slices"

	"github.com/sullae/sullae/collective/digest"
)

// Update records that a planned item was computed, with the tokens sampled where
// the item asked for them (one, and one for each accepted draft), and says what
// it means. Every item of every step is updated, in the order of the steps.
// ok is false where the item was computed in vain: the sequence was aborted, has
// ended, or was put back meanwhile. That the tokens are as many as the item asks
// for is the caller's to check.
func (s *Scheduler) Update(it Item, tokens ...int32) (p Progress, ok bool) {
	s.land(it.step)
	if !s.Current(it) {
		return p, false
	}
	q := s.byID[it.ID]
	p.ID = it.ID
	end := it.NumComputed + it.Count
	if q.PromptScores {
		// Rows [NumComputed, end) score the positions after them.
		lo, hi := it.NumComputed+1, min(end+1, len(q.Prompt))
		if first := max(lo, q.scored); hi > first {
			p.Prompt = Scored{First: first, Count: hi - first, Skip: first - lo}
			q.scored = hi
		}
	}
	switch {
	case it.Sample:
		if len(tokens) == 0 || len(tokens) > 1+len(it.Drafts) {
			panic(fmt.Sprintf("sched: sequence %d: %d tokens for %d drafts", q.ID, len(tokens), len(it.Drafts)))
		}
		s.push(q, tokens, &p)
	case q.MaxTokens == 0 && end == len(q.tokens):
		p.Finish = Length
	}
	if p.Finish != NotFinished {
		s.drop(q)
	}
	return p, true
}

// Current tells whether Update would take an item's results: false where they will be
// in vain.
func (s *Scheduler) Current(it Item) bool {
	q := s.byID[it.ID]
	return q != nil && q.start == it.start
}

// push appends sampled tokens up to the sequence's end.
func (s *Scheduler) push(q *sequence, tokens []int32, p *Progress) {
	q.pending--
	for _, t := range tokens {
		q.tokens = append(q.tokens, t)
		q.hash = digest.Tokens(q.hash, t)
		p.Tokens++
		if slices.Contains(q.StopTokens, t) {
			p.Finish = Stop
		} else if len(q.tokens)-len(q.Prompt) >= q.MaxTokens {
			p.Finish = Length
		}
		if p.Finish != NotFinished {
			break
		}
	}
	p.Token = true
	q.planned += p.Tokens - 1 // accepted drafts
	s.tenants.charge(q, q.planned)
	if len(q.tokens) > q.until && p.Finish == NotFinished {
		s.again(q)
		return
	}
	s.extendHashes(q)
	s.publish(q)
}

// land notes that an item's result is in.
func (s *Scheduler) land(step uint64) {
	for i := range s.flight {
		if f := &s.flight[i]; f.step == step {
			if f.items--; f.items == 0 {
				s.flight = slices.Delete(s.flight, i, i+1)
			}
			return
		}
	}
}
