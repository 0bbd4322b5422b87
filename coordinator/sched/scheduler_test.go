package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sullae/sullae/collective/digest"
)

// ranks is a fake group: it knows what real ranks know, checks each plan as they
// do, and samples a token that is a function of all tokens before it.
type ranks struct {
	t    *testing.T
	cfg  Config
	seqs map[uint64]*held
}

type held struct {
	tokens   []int32
	computed int
	blocks   []int32
}

func next(tokens []int32) int32 { return int32(digest.Tokens(digest.Start, tokens...) % 97) }

// run executes a plan and returns the token of each item.
func (r *ranks) run(s Step) []int32 {
	r.t.Helper()
	for _, id := range s.Finished {
		delete(r.seqs, id)
	}
	for _, n := range s.Started {
		if r.seqs[n.ID] != nil {
			r.t.Fatalf("sequence %d starts twice", n.ID)
		}
		r.seqs[n.ID] = &held{tokens: slices.Clone(n.Tokens)}
	}
	rows := 0
	owner := map[int32]uint64{}
	var out []int32
	for _, it := range s.Items {
		q := r.seqs[it.ID]
		if q == nil {
			r.t.Fatalf("sequence %d is not known", it.ID)
		}
		q.blocks = append(q.blocks, it.NewBlocks...)
		end := it.NumComputed + it.Count
		if q.computed != it.NumComputed || it.Count < 1 || end > len(q.tokens) || end > len(q.blocks)*r.cfg.BlockSize {
			r.t.Fatalf("plan %+v does not fit %+v", it, q)
		}
		if it.Tokens != len(q.tokens) || it.Hash != digest.Tokens(digest.Start, q.tokens...) {
			r.t.Fatalf("sequence %d: hash differs", it.ID)
		}
		q.computed = end
		rows += it.Count
		tok := int32(-1)
		if it.Sample {
			tok = next(q.tokens)
			q.tokens = append(q.tokens, tok)
		}
		out = append(out, tok)
	}
	for id, q := range r.seqs {
		for _, b := range q.blocks {
			if o, taken := owner[b]; taken {
				r.t.Fatalf("block %d belongs to %d and %d", b, o, id)
			}
			owner[b] = id
		}
	}
	if rows != s.Rows || rows > r.cfg.MaxBatchedTokens || len(s.Items) > r.cfg.MaxSeqs {
		r.t.Fatalf("step of %d rows (says %d), %d sequences: over the limits", rows, s.Rows, len(s.Items))
	}
	return out
}

// alone is what a prompt must yield, whatever else runs.
func alone(prompt []int32, n int, stop []int32) []int32 {
	tokens := slices.Clone(prompt)
	for range n {
		t := next(tokens)
		tokens = append(tokens, t)
		if slices.Contains(stop, t) {
			break
		}
	}
	return tokens[len(prompt):]
}

// TestSimulation runs random arrivals, aborts and lost epochs over random
// limits, with too few blocks, and checks every output and invariant.
func TestSimulation(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed, 150) })
	}
}

func simulate(t *testing.T, seed uint64, arrivals int) {
	rng := rand.New(rand.NewPCG(seed, 7))
	cfg := Config{
		MaxBatchedTokens: 1 + rng.IntN(64), MaxSeqs: 1 + rng.IntN(12), MaxModelLen: 120,
		BlockSize: 1 + rng.IntN(8), Blocks: 130 + rng.IntN(100),
	}
	s := New(cfg)
	r := &ranks{t, cfg, map[uint64]*held{}}
	want := map[uint64][]int32{}
	got := map[uint64][]int32{}
	scored := map[uint64]int{}
	requests := map[uint64]Request{}
	id := uint64(0)
	for step := 0; ; step++ {
		for rng.IntN(3) == 0 && int(id) < arrivals {
			id++
			q := Request{ID: id, MaxTokens: rng.IntN(40), StopTokens: []int32{5}, PromptScores: rng.IntN(3) == 0}
			for range 1 + rng.IntN(60) {
				q.Prompt = append(q.Prompt, int32(rng.IntN(97)))
			}
			if err := s.Add(q); err != nil {
				t.Fatal(err)
			}
			requests[id], want[id] = q, alone(q.Prompt, q.MaxTokens, q.StopTokens)
		}
		if rng.IntN(20) == 0 && id > 0 {
			gone := 1 + rng.Uint64N(id)
			s.Abort(gone)
			delete(want, gone)
		}
		if rng.IntN(50) == 0 {
			s.Reset()
			r.seqs = map[uint64]*held{}
		}
		plan, ok := s.Schedule()
		if err := s.CheckIntegrity(); err != nil {
			t.Fatal(err)
		}
		if !ok {
			if w, run := s.Unfinished(); w+run > 0 {
				t.Fatalf("%d waiting and %d running sequences, but nothing is planned", w, run)
			}
			if int(id) == arrivals {
				break
			}
			continue
		}
		tokens := r.run(plan)
		for i, it := range plan.Items {
			p, known := s.Update(it, tokens[i])
			if !known {
				continue
			}
			if p.Prompt.Count > 0 {
				if p.Prompt.First != scored[it.ID]+1 || p.Prompt.First-p.Prompt.Skip != it.NumComputed+1 {
					t.Fatalf("sequence %d: scores %+v after %d", it.ID, p.Prompt, scored[it.ID])
				}
				scored[it.ID] += p.Prompt.Count
			}
			if p.Token {
				got[it.ID] = append(got[it.ID], tokens[i])
			}
			if p.Finish != NotFinished {
				q := requests[it.ID]
				if !slices.Equal(got[it.ID], want[it.ID]) {
					t.Fatalf("sequence %d: got %v, want %v", it.ID, got[it.ID], want[it.ID])
				}
				stopped := len(want[it.ID]) > 0 && slices.Contains(q.StopTokens, want[it.ID][len(want[it.ID])-1])
				if stopped != (p.Finish == Stop) {
					t.Fatalf("sequence %d: finish %v", it.ID, p.Finish)
				}
				if q.PromptScores && scored[it.ID] != len(q.Prompt)-1 {
					t.Fatalf("sequence %d: %d of %d prompt tokens scored", it.ID, scored[it.ID], len(q.Prompt)-1)
				}
				delete(want, it.ID)
			}
		}
		if err := s.CheckIntegrity(); err != nil {
			t.Fatal(err)
		}
		if step > 200000 {
			t.Fatal("does not end")
		}
	}
	if len(want) != 0 {
		t.Fatalf("%d sequences never finished", len(want))
	}
	if free, total := s.Blocks(); free != total {
		t.Fatalf("%d of %d blocks free at the end", free, total)
	}
}

// TestPreemption: the youngest goes back when blocks run out, and finishes later.
func TestPreemption(t *testing.T) {
	cfg := Config{MaxBatchedTokens: 64, MaxSeqs: 8, MaxModelLen: 64, BlockSize: 4, Blocks: 8}
	s := New(cfg)
	for id := range uint64(3) {
		if err := s.Add(Request{ID: id + 1, Prompt: []int32{int32(id), 2, 3, 4, 5, 6, 7, 8}, MaxTokens: 16}); err != nil {
			t.Fatal(err)
		}
	}
	r := &ranks{t, cfg, map[uint64]*held{}}
	var finished []uint64
	for {
		plan, ok := s.Schedule()
		if !ok {
			break
		}
		tokens := r.run(plan)
		for i, it := range plan.Items {
			if p, _ := s.Update(it, tokens[i]); p.Finish != NotFinished {
				finished = append(finished, it.ID)
			}
		}
	}
	if !slices.Equal(finished, []uint64{1, 2, 3}) || s.Preemptions() == 0 {
		t.Errorf("finished %v with %d preemptions, want the oldest first and some preemptions", finished, s.Preemptions())
	}
}

func TestTooLong(t *testing.T) {
	s := New(Config{MaxBatchedTokens: 8, MaxSeqs: 8, MaxModelLen: 10, BlockSize: 4, Blocks: 2})
	for _, q := range []Request{
		{ID: 1, Prompt: make([]int32, 8), MaxTokens: 3},
		{ID: 2, Prompt: make([]int32, 9), MaxTokens: 0},
	} {
		if err := s.Add(q); err == nil {
			t.Errorf("%d+%d tokens: accepted", len(q.Prompt), q.MaxTokens)
		}
	}
}
