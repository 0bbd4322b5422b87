package sched

// Pace bounds the prompt rows of the steps to come, below Config.MaxPrefillChunk,
// where no more sequences wait for their first token than stream: rows 0 doesn't.
func (s *Scheduler) Pace(rows int) { s.pace = rows }

// Schedule plans a step; ok is false while there is nothing to compute, or
// nothing before the results of the steps in flight are in.
func (s *Scheduler) Schedule() (step Step, ok bool) {
	if len(s.flight) >= s.cfg.Depth {
		return step, false
	}
	s.start()
	s.deal()
	s.steps++
	step.Items = make([]Item, 0, len(s.running))
	for i := 0; i < len(s.running); {
		q := s.running[i]
		if q.rows > 0 {
			s.slide(q)
		}
		if q.rows > 0 && s.grow(q, q.planned+q.rows) {
			s.plan(&step, q)
		}
		// Growing may have sent q itself back; the others that go come after it.
		if i < len(s.running) && s.running[i] == q {
			i++
		}
	}
	if len(step.Items) == 0 {
		return Step{}, false
	}
	s.speculate(&step)
	for _, it := range step.Items {
		s.publish(s.byID[it.ID])
	}
	step.Finished, s.dropped = s.dropped, nil
	s.flight = append(s.flight, flight{s.steps, len(step.Items)})
	return step, true
}

// grow gives q blocks for the positions before end, preempting the last of the
// running sequences as far as needed. It is false if q itself was the last and
// went back, or has to wait: a sequence that the steps in flight complete is not
// preempted for its last token, since it gives its blocks up by itself.
func (s *Scheduler) grow(q *sequence, end int) bool {
	need := (s.pool.For(end) - s.spans(q)) * s.groups()
	for need > s.pool.Free() {
		i := len(s.running) - 1
		for s.running[i].done() {
			i--
		}
		v := s.running[i]
		if v == q && s.anyDone() {
			return false
		}
		s.preempt(v)
		if v == q {
			return false
		}
	}
	if need > 0 {
		blocks, _ := s.pool.Take(need)
		q.blocks = append(q.blocks, blocks...)
	}
	return true
}

func (s *Scheduler) anyDone() bool {
	for _, q := range s.running {
		if q.done() {
			return true
		}
	}
	return false
}

// plan makes q's rows a part of the step.
func (s *Scheduler) plan(step *Step, q *sequence) {
	if !q.known {
		q.known = true
		step.Started = append(step.Started, Start{ID: q.ID, Tokens: q.tokens, PromptLen: len(q.Prompt), NumComputed: q.planned})
	}
	end := q.planned + q.rows
	it := Item{
		ID: q.ID, NumComputed: q.planned, Count: q.rows, NewBlocks: q.blocks[q.sent:],
		Hash: q.hash, Tokens: len(q.tokens),
		Sample: q.MaxTokens > 0 && end == len(q.tokens)+q.pending,
		step:   s.steps, start: q.start,
	}
	q.planned, q.sent = end, len(q.blocks)
	if it.Sample {
		q.pending++
	}
	s.tenants.charge(q, end)
	if it.Sample && it.Count == 1 {
		step.Streams++
	}
	step.Items = append(step.Items, it)
	step.Rows += it.Count
}

// speculate adds drafts to the items of a step that sample, out of what the
// other sequences have left: rows of the budget and free blocks. It never
// preempts, and never proposes more than could count.
func (s *Scheduler) speculate(step *Step) {
	if s.cfg.Draft == nil {
		return
	}
	for i := range step.Items {
		it := &step.Items[i]
		q := s.byID[it.ID]
		if !it.Sample || q.MaxDrafts == 0 {
			continue
		}
		room := (s.spans(q)+s.pool.Free()/s.groups())*s.cfg.BlockSize - q.planned
		limit := min(q.MaxDrafts, s.cfg.MaxBatchedTokens-step.Rows, q.MaxTokens-q.generated(), room, q.until-len(q.tokens))
		if limit <= 0 {
			continue
		}
		drafts := s.cfg.Draft(q.ID, q.tokens, limit)
		drafts = drafts[:min(len(drafts), limit)]
		if len(drafts) == 0 {
			continue
		}
		s.grow(q, q.planned+len(drafts))
		it.Drafts = drafts
		it.NewBlocks = q.blocks[q.sent-len(it.NewBlocks):]
		q.sent = len(q.blocks)
		step.Rows += len(drafts)
		step.Streams += len(drafts)
	}
}
