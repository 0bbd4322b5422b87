package gateway

import (
	"context"

	"github.com/sullae/sullae/coordinator/grammar"
)

// Generate validates a request and starts its sequences. The Stream must be
// closed; cancelling ctx ends it too. Errors: *FieldError,
// *ModelNotFoundError, ErrNoTokenizer, ErrNoTemplate, and what the engine's
// Submit returns (ErrUnavailable, ErrOverloaded). Either all sequences of a
// request are started or none.
func (s *Service) Generate(ctx context.Context, r Request) (*Stream, error) {
	start := s.now()
	p, err := s.resolve(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	st := &Stream{
		svc: s, plan: p, start: start, ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), left: len(p.prompts) * p.n,
	}
	for i := range p.prompts {
		st.prompts = append(st.prompts, newPromptState(s, p, i))
	}
	choices, err := st.submit()
	if err != nil {
		cancel(err)
		return nil, err
	}
	s.metrics.started(p)
	for _, c := range choices {
		st.wg.Go(c.run)
	}
	return st, nil
}

func (st *Stream) submit() ([]*choice, error) {
	p, s := st.plan, st.svc
	var choices []*choice
	for i, pp := range p.prompts {
		for j := range p.n {
			seq := Sequence{
				RequestID: p.id, Index: i*p.n + j, Prompt: pp.ids, MaxTokens: pp.maxTokens,
				StopTokens: p.stopTokens, Sampling: p.sampling,
				Logprobs: p.logprobs, PromptLogprobs: -1, Priority: p.priority, Tenant: p.tenant, MaxDrafts: p.maxDrafts,
			}
			seq.Sampling.Seed = ChoiceSeed(p.sampling.Seed, j)
			if j == 0 {
				seq.PromptLogprobs = p.promptLogprobs
			}
			if p.grammar != nil {
				vocab := s.structures.vocab
				if r := p.tools; r != nil {
					vocab = func(m Model) *grammar.Vocab { return s.structures.toolVocab(m, r.marks) }
				}
				seq.Constraint = p.grammar.Start(vocab(s.model))
			}
			c := newChoice(st, seq, st.prompts[i])
			if p.resume != nil {
				had := p.resume[seq.Index]
				if had.Finished {
					c.cancel()
					st.left--
					continue
				}
				var err error
				if c.early, err = c.resume(had); err != nil {
					return nil, err
				}
				seq = c.seq
				st.prompts[i].ready = true
			}
			if c.early != nil {
				choices = append(choices, c)
				continue
			}
			if seq.MaxTokens == 0 && seq.PromptLogprobs < 0 {
				// Nothing to run; but a cluster that isn't serving shouldn't
				// look as if it were.
				if err := s.engine.Ready(); err != nil {
					return nil, err
				}
				ended := make(chan Event, 1)
				ended <- Event{Finish: FinishLength}
				close(ended)
				c.events = ended
			} else {
				events, err := s.engine.Submit(c.ctx, seq)
				if err != nil {
					return nil, err
				}
				c.events = events
			}
			choices = append(choices, c)
		}
	}
	return choices, nil
}
