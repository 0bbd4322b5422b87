// Package sched decides what each step computes: which sequences run, how many
// tokens of each, on which KV blocks. It is pure: no clock, no network, no
// goroutine; the same calls give the same plans.
//
// A sequence is waiting, running or finished. Prefill and decode are not
// distinguished: a running sequence's computed tokens catch up with its tokens,
// a chunk at a time under the step's token budget. When blocks run out the
// youngest running sequence goes back to waiting and is computed again later,
// with the same tokens (the ranks' arithmetic sees to that); the end of an
// epoch does the same to all (Reset).
package sched

import (
	"errors"
	"fmt"

	"github.com/sullae/sullae/collective/digest"
	"github.com/sullae/sullae/coordinator/block"
)

// ErrTooLong is a sequence that can never fit into the KV pool or the context.
var ErrTooLong = errors.New("sequence does not fit")

// Config bounds steps.
type Config struct {
	MaxBatchedTokens int // rows of a step
	MaxSeqs          int // sequences running at once
	MaxModelLen      int // positions of a sequence
	Blocks           int
	BlockSize        int
}

// Request is a sequence to run.
type Request struct {
	ID         uint64
	Prompt     []int32
	MaxTokens  int // 0: score the prompt only
	StopTokens []int32
	// PromptScores: the prompt's tokens are scored.
	PromptScores bool
}

// FinishReason says why a sequence ended.
type FinishReason uint8

// Finish reasons.
const (
	NotFinished FinishReason = iota
	Stop
	Length
)

// Item is one sequence's part of a step.
type Item struct {
	ID          uint64
	NumComputed int
	Count       int
	NewBlocks   []int32
	Hash        uint64 // digest of all tokens known
	Tokens      int    // how many those are
	Sample      bool
}

// Start is a sequence that the ranks have to know before a step.
type Start struct {
	ID        uint64
	Tokens    []int32
	PromptLen int
}

// Step is a plan.
type Step struct {
	Finished []uint64 // the ranks drop these first
	Started  []Start
	Items    []Item
	Rows     int
}

// Scored is a run of prompt scores that a step made.
type Scored struct {
	First, Count int // positions [First, First+Count)
	Skip         int // of the scores that came, how many were had before
}

// Progress is what a step's result means for one sequence.
type Progress struct {
	ID     uint64
	Prompt Scored
	Token  bool // the sampled token counts
	Finish FinishReason
}

type sequence struct {
	Request
	tokens   []int32
	hash     uint64
	computed int
	blocks   []int32
	scored   int // prompt positions whose scores are out
	arrival  uint64
	known    bool // the ranks hold it
}

// Scheduler holds the sequences of one group.
type Scheduler struct {
	cfg     Config
	pool    *block.Pool
	waiting []*sequence // by arrival
	running []*sequence // by arrival
	byID    map[uint64]*sequence
	dropped []uint64 // sequences that the ranks must forget
	arrived uint64
	preempt uint64
}

// New has no sequences.
func New(cfg Config) *Scheduler {
	return &Scheduler{cfg: cfg, pool: block.NewPool(cfg.Blocks, cfg.BlockSize), byID: map[uint64]*sequence{}}
}

// Add queues a sequence.
func (s *Scheduler) Add(r Request) error {
	total := len(r.Prompt) + r.MaxTokens
	if total > s.cfg.MaxModelLen {
		return fmt.Errorf("%w: %d prompt and %d new tokens in a context of %d", ErrTooLong, len(r.Prompt), r.MaxTokens, s.cfg.MaxModelLen)
	}
	if s.pool.For(total) > s.pool.Total() {
		return fmt.Errorf("%w: %d tokens in a KV cache of %d", ErrTooLong, total, s.pool.Total()*s.pool.Size())
	}
	if len(r.Prompt) == 0 || s.byID[r.ID] != nil {
		panic(fmt.Sprintf("sched: sequence %d: empty prompt or known id", r.ID))
	}
	s.arrived++
	q := &sequence{Request: r, arrival: s.arrived, tokens: append([]int32(nil), r.Prompt...), hash: digest.Tokens(digest.Start, r.Prompt...), scored: 1}
	s.byID[r.ID] = q
	s.waiting = append(s.waiting, q)
	return nil
}

// Abort forgets a sequence; it is not an error if it is gone already.
func (s *Scheduler) Abort(id uint64) {
	if q := s.byID[id]; q != nil {
		s.drop(q)
	}
}

// Unfinished is the number of sequences waiting and running.
func (s *Scheduler) Unfinished() (waiting, running int) { return len(s.waiting), len(s.running) }

// Blocks tells the KV pool's use.
func (s *Scheduler) Blocks() (free, total int) { return s.pool.Free(), s.pool.Total() }

// Preemptions counts sequences that were put back for want of blocks.
func (s *Scheduler) Preemptions() uint64 { return s.preempt }

// Reset puts every running sequence back, with nothing computed: the ranks that
// held them are gone. Arrival order is kept.
func (s *Scheduler) Reset() {
	for len(s.running) > 0 {
		s.putBack(s.running[len(s.running)-1])
	}
	s.dropped = nil
}

// Schedule plans a step; ok is false while there is nothing to compute.
func (s *Scheduler) Schedule() (step Step, ok bool) {
	budget := s.cfg.MaxBatchedTokens
	for i := 0; i < len(s.running) && budget > 0; i++ {
		q := s.running[i]
		blocks, have := s.extend(q, min(len(q.tokens)-q.computed, budget))
		if !have {
			continue // q itself was the youngest, and went back
		}
		budget -= s.plan(&step, q, min(len(q.tokens)-q.computed, budget), blocks)
	}
	for len(s.waiting) > 0 && budget > 0 && len(s.running) < s.cfg.MaxSeqs {
		q := s.waiting[0]
		count := min(len(q.tokens)-q.computed, budget)
		blocks, have := s.pool.Take(s.pool.For(count))
		if !have {
			break // in order: who came first starts first
		}
		q.blocks = append(q.blocks, blocks...)
		s.waiting = s.waiting[1:]
		s.running = append(s.running, q)
		step.Started = append(step.Started, Start{ID: q.ID, Tokens: q.tokens, PromptLen: len(q.Prompt)})
		q.known = true
		budget -= s.plan(&step, q, count, blocks)
	}
	if len(step.Items) == 0 {
		return Step{}, false
	}
	step.Finished, s.dropped = s.dropped, nil
	return step, true
}

// extend makes room for count more positions, putting the youngest running
// sequences back as far as needed; false if q had to go itself.
func (s *Scheduler) extend(q *sequence, count int) ([]int32, bool) {
	need := s.pool.For(q.computed+count) - len(q.blocks)
	for need > s.pool.Free() {
		last := s.running[len(s.running)-1]
		s.putBack(last)
		s.preempt++
		if last == q {
			return nil, false
		}
	}
	blocks, _ := s.pool.Take(max(need, 0))
	q.blocks = append(q.blocks, blocks...)
	return blocks, true
}

func (s *Scheduler) plan(step *Step, q *sequence, count int, blocks []int32) int {
	step.Items = append(step.Items, Item{
		ID: q.ID, NumComputed: q.computed, Count: count, NewBlocks: blocks,
		Hash: q.hash, Tokens: len(q.tokens),
		Sample: q.MaxTokens > 0 && q.computed+count == len(q.tokens),
	})
	step.Rows += count
	return count
}

// Update records that a planned item was computed, with the token sampled where
// the item asked for one, and says what it means. A sequence that was aborted
// meanwhile yields ok = false.
func (s *Scheduler) Update(it Item, token int32) (p Progress, ok bool) {
	q := s.byID[it.ID]
	if q == nil || !q.known {
		return p, false
	}
	p.ID = it.ID
	q.computed = it.NumComputed + it.Count
	if q.PromptScores {
		// Rows [NumComputed, computed) score the positions after them.
		lo, hi := it.NumComputed+1, min(q.computed+1, len(q.Prompt))
		if first := max(lo, q.scored); hi > first {
			p.Prompt = Scored{First: first, Count: hi - first, Skip: first - lo}
			q.scored = hi
		}
	}
	switch {
	case it.Sample:
		q.tokens = append(q.tokens, token)
		q.hash = digest.Tokens(q.hash, token)
		p.Token = true
		for _, t := range q.StopTokens {
			if t == token {
				p.Finish = Stop
			}
		}
		if p.Finish == NotFinished && len(q.tokens)-len(q.Prompt) >= q.MaxTokens {
			p.Finish = Length
		}
	case q.MaxTokens == 0 && q.computed == len(q.tokens):
		p.Finish = Length
	}
	if p.Finish != NotFinished {
		s.drop(q)
	}
	return p, true
}

// drop removes a sequence for good.
func (s *Scheduler) drop(q *sequence) {
	delete(s.byID, q.ID)
	s.pool.Return(q.blocks)
	q.blocks = nil
	if q.known {
		s.dropped = append(s.dropped, q.ID)
	}
	s.running = without(s.running, q)
	s.waiting = without(s.waiting, q)
}

// putBack returns a running sequence to the queue, before all that came later.
func (s *Scheduler) putBack(q *sequence) {
	s.running = without(s.running, q)
	s.pool.Return(q.blocks)
	q.blocks, q.computed = nil, 0
	if q.known {
		s.dropped = append(s.dropped, q.ID)
		q.known = false
	}
	i := 0
	for i < len(s.waiting) && s.waiting[i].arrival < q.arrival {
		i++
	}
	s.waiting = append(s.waiting[:i], append([]*sequence{q}, s.waiting[i:]...)...)
}

func without(list []*sequence, q *sequence) []*sequence {
	for i, x := range list {
		if x == q {
			return append(list[:i:i], list[i+1:]...)
		}
	}
	return list
}

// CheckIntegrity reports the first broken invariant: blocks lost or shared,
// lists out of order, sequences in no list or in two.
func (s *Scheduler) CheckIntegrity() error {
	if err := s.pool.CheckIntegrity(); err != nil {
		return err
	}
	out := 0
	seen := map[uint64]bool{}
	for l, list := range [][]*sequence{s.running, s.waiting} {
		for i, q := range list {
			out += len(q.blocks)
			if seen[q.ID] || s.byID[q.ID] != q {
				return fmt.Errorf("sched: sequence %d in two lists or none", q.ID)
			}
			seen[q.ID] = true
			if l == 1 && i > 0 && list[i-1].arrival > q.arrival {
				return fmt.Errorf("sched: sequence %d waits before an older one", list[i-1].ID)
			}
			if l == 0 && s.pool.For(q.computed) > len(q.blocks) {
				return fmt.Errorf("sched: sequence %d: %d computed tokens in %d blocks", q.ID, q.computed, len(q.blocks))
			}
		}
	}
	if len(seen) != len(s.byID) {
		return fmt.Errorf("sched: %d sequences listed, %d known", len(seen), len(s.byID))
	}
	if free, total := s.Blocks(); out+free != total {
		return fmt.Errorf("sched: %d blocks out + %d free != %d", out, free, total)
	}
	return nil
}
