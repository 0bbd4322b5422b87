package sched

import "slices"

// planned checks a plan against what is open.
func (w *world) planned(plan Step) {
	w.steps++
	w.plans = append(w.plans, plan)
	if len(w.plans) > max(w.cfg.Depth, 1) {
		w.t.Fatalf("%d steps in flight", len(w.plans))
	}
	for _, it := range plan.Items {
		if w.open[it.ID] == nil {
			w.t.Fatalf("sequence %d has a part of a step, but is gone", it.ID)
		}
		w.checkOwned(it)
	}
	w.check()
	w.checkFirst(plan)
}

// checkOwned: a sequence owns the blocks of all that its rows see, in each group.
func (w *world) checkOwned(it Item) {
	q := w.s.byID[it.ID]
	for g, window := range w.s.cfg.Windows {
		first := 0
		if window > 0 {
			first = max(0, it.NumComputed-window+1) / w.cfg.BlockSize
		}
		if w.s.unseen(g, q.slid) > first {
			w.t.Fatalf("sequence %d gave up block %d, and goes on at %d with a window of %d", it.ID, first, it.NumComputed, window)
		}
	}
}

// checkFirst: the first of the running sequences moves in every step, unless it
// waits for results, and whoever comes before all others ends in bounded time.
func (w *world) checkFirst(plan Step) {
	for _, q := range w.s.running {
		in := slices.ContainsFunc(plan.Items, func(it Item) bool { return it.ID == q.ID })
		if in {
			break
		}
		if !q.done() && !(q.pending > 0 && (q.MaxDrafts > 0 || len(q.tokens)+q.pending > q.until)) {
			w.t.Fatalf("step %d: sequence %d comes first and has no part", w.steps, q.ID)
		}
	}
	var first *client
	for _, c := range w.open {
		if first == nil || c.Priority < first.Priority || c.Priority == first.Priority && c.ID < first.ID {
			first = c
		}
	}
	if first == nil || first.ID != w.first {
		w.firstSince = w.steps
		if first != nil {
			w.first = first.ID
		}
	}
	w.maxFirst = max(w.maxFirst, w.steps-w.firstSince)
}

func (w *world) check() {
	if err := w.s.CheckIntegrity(); err != nil {
		w.t.Fatalf("step %d: %v", w.steps, err)
	}
	if st := w.s.Stats(); st.BlocksUsed+st.BlocksCached+st.BlocksEmpty != w.cfg.Blocks {
		w.t.Fatalf("step %d: %+v of %d blocks", w.steps, st, w.cfg.Blocks)
	}
}

// reset ends the epoch; late results are ignored.
func (w *world) reset() {
	w.s.Reset()
	for _, p := range w.plans {
		for _, it := range p.Items {
			if _, ok := w.s.Update(it, 1); ok {
				w.t.Fatalf("sequence %d: a result of the last epoch counts", it.ID)
			}
		}
	}
	w.plans = nil
	w.r = newRanks(w.cfg, w.seeds)
	w.check()
}

// retire executes the oldest plan and applies its results.
func (w *world) retire() {
	plan := w.plans[0]
	w.plans = w.plans[1:]
	results, err := w.r.run(plan)
	if err != nil {
		w.t.Fatalf("step %d: %v", w.steps, err)
	}
	for i, it := range plan.Items {
		p, ok := w.s.Update(it, results[i]...)
		if ok {
			w.progress(it, p, results[i])
		}
	}
	w.check()
}

func (w *world) progress(it Item, p Progress, tokens []int32) {
	c := w.open[it.ID]
	if p.Prompt.Count > 0 {
		if p.Prompt.First != c.scored+1 || p.Prompt.First-p.Prompt.Skip != it.NumComputed+1 {
			w.t.Fatalf("sequence %d: scores %+v after %d", it.ID, p.Prompt, c.scored)
		}
		c.scored += p.Prompt.Count
	}
	if p.Token != (p.Tokens > 0) || p.Tokens > len(tokens) {
		w.t.Fatalf("sequence %d: %+v of %v", it.ID, p, tokens)
	}
	c.got = append(c.got, tokens[:p.Tokens]...)
	if p.Finish == NotFinished {
		return
	}
	if !slices.Equal(c.got, c.want) {
		w.t.Fatalf("sequence %d: got %v, want %v", it.ID, c.got, c.want)
	}
	stopped := len(c.want) > 0 && slices.Contains(c.StopTokens, c.want[len(c.want)-1])
	if stopped != (p.Finish == Stop) {
		w.t.Fatalf("sequence %d: finish %v", it.ID, p.Finish)
	}
	if c.PromptScores && c.scored != len(c.Prompt)-1 {
		w.t.Fatalf("sequence %d: %d of %d prompt tokens scored", it.ID, c.scored, len(c.Prompt)-1)
	}
	delete(w.open, it.ID)
	if w.ended = append(w.ended, slices.Concat(c.Prompt, c.got)); len(w.ended) > 5 {
		w.ended = w.ended[1:]
	}
}

// drain lets everything end.
func (w *world) drain() {
	for turns := 0; len(w.open) > 0 || len(w.plans) > 0; turns++ {
		if w.turn(false); turns > 1_000_000 {
			w.t.Fatal("does not end")
		}
	}
	if st := w.s.Stats(); st.BlocksUsed != 0 || st.Waiting+st.Running+st.InFlight != 0 {
		w.t.Fatalf("at the end: %+v", st)
	}
}
