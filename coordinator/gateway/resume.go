package gateway

// A broken stream is resumed by computing prompt and tokens so far as one
// prompt: the tokens that follow are the same, bit for bit, so nothing has to be
// remembered here.

// checkResume refuses what cannot be the continuation of an earlier request.
func (s *Service) checkResume(p *plan, r Request) error {
	if r.Resume == nil {
		return nil
	}
	if n := len(p.prompts) * p.n; len(r.Resume) != n {
		return fieldErr("resume", "has %d choices, the request has %d", len(r.Resume), n)
	}
	if p.sampling.Temperature > 0 && r.Sampling.Seed == nil {
		return fieldErr("resume", "needs the seed that the first response told")
	}
	for i, c := range r.Resume {
		if err := s.validIDs("resume", c.TokenIDs); err != nil {
			return err
		}
		if most := p.prompts[i/p.n].maxTokens; len(c.TokenIDs) > most {
			return fieldErr("resume", "choice %d has %d tokens, more than max_tokens, %d", i, len(c.TokenIDs), most)
		}
	}
	p.promptLogprobs = -1 // the client has them
	p.resume = r.Resume
	return nil
}

// resume brings a choice to where the client is. early is the choice's last
// delta where nothing is left to compute.
func (c *choice) resume(had Resumed) (early *Delta, err error) {
	c.seq.PromptLen = len(c.seq.Prompt)
	c.seq.Prompt = append(c.seq.Prompt[:len(c.seq.Prompt):len(c.seq.Prompt)], had.TokenIDs...)
	c.seq.MaxTokens -= len(had.TokenIDs)
	text, stop := "", ""
	for _, id := range had.TokenIDs {
		c.generated++
		if g := c.seq.Constraint; g != nil && !g.Accept(id) {
			return nil, fieldErr("resume", "choice %d: token %d does not follow the structure", c.seq.Index, id)
		}
		var out string
		if out, stop = c.decode(id); stop != "" {
			text += out
			break
		}
		text += out
	}
	if len(text) < had.TextBytes {
		return nil, fieldErr("resume", "choice %d: %d bytes of text were received, but its tokens make %d", c.seq.Index, had.TextBytes, len(text))
	}
	c.pending = text[had.TextBytes:]
	switch {
	case stop != "":
		early = &Delta{Index: c.seq.Index, Text: c.pending, Finish: &Finish{Reason: FinishStop, StopString: stop}}
	case c.seq.MaxTokens == 0:
		early = &Delta{Index: c.seq.Index, Text: c.pending}
		early.Finish = c.finish(early, Event{Finish: FinishLength})
	default:
		return nil, nil
	}
	early.Finish.CompletionTokens = c.generated
	return early, nil
}
