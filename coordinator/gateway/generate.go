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
	s.traffic.requests.Add(1)
	st := &Stream{svc: s, start: s.now(), caller: CallerOf(ctx), usage: unlimited{}, wake: make(chan struct{}, 1)}
	err := s.begin(ctx, st, r)
	if err != nil {
		st.usage.End()
		s.auditRefusal(st, r, err)
		return nil, err
	}
	return st, nil
}

// begin fills in and starts a stream. On an error only its usage is left to end.
func (s *Service) begin(ctx context.Context, st *Stream, r Request) (err error) {
	p, err := s.resolve(r)
	if err != nil {
		return err
	}
	st.plan = p
	if st.usage, err = st.caller.admit(st.start, p); err != nil {
		st.usage = unlimited{}
		return err
	}
	if p, err = s.checkInput(ctx, st, r); err != nil {
		return err
	}
	st.plan = p
	stop := func() {}
	if s.limits.MaxTime > 0 {
		ctx, stop = context.WithDeadline(ctx, st.start.Add(s.limits.MaxTime))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	st.ctx, st.left = ctx, len(p.prompts)*p.n
	st.cancel = func(err error) { cancel(err); stop() }
	st.traceRequest(p)
	for i := range p.prompts {
		st.prompts = append(st.prompts, newPromptState(s, p, i))
	}
	st.keepContent(r)
	choices, err := st.submit()
	if err != nil {
		st.cancel(err)
		st.traceEnd(0, err)
		return err
	}
	s.metrics.started(p)
	for _, pp := range p.prompts {
		s.traffic.prompt.Add(int64(len(pp.ids)))
	}
	for _, c := range choices {
		st.wg.Go(c.run)
	}
	return nil
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
				Trace: st.spanContext(),
			}
			if seq.LeastTokens = p.sampling.MinTokens; len(p.stopTokens)+len(p.stops) == 0 && p.grammar == nil {
				seq.LeastTokens = seq.MaxTokens
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
