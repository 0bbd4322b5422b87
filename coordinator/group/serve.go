package group

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/sched"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/plan"
)

// errChange ends an epoch because others are to share the model from now on.
var errChange = errors.New("workers come or go")

// flight is a step that was sent and whose results are not all in.
type flight struct {
	id      uint64
	plan    sched.Step
	sent    time.Time
	busy    bool         // another step was computed until it could begin
	masked  []sched.Item // whose masks are to follow
	missing int
	result  *clusterv1.StepResult // rank 0's
	spans   []trace.Span          // of the traces that are recorded
}

// serve runs steps until the epoch fails, ctx ends, or a larger group can form.
// It keeps the ranks supplied: the next step is planned and sent while they run
// one.
func (g *Group) serve(ctx context.Context, e *epoch, watch *watcher) error {
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	var flights []*flight
	busy := false // a step has just been computed, or is
	for {
		for {
			f, err := g.send(e)
			if err != nil {
				return err
			}
			if f == nil {
				break
			}
			f.busy, busy = busy, true
			if flights = append(flights, f); len(flights) > 1 {
				continue
			}
			if err := g.sendMasks(e, f); err != nil {
				return err
			}
		}
		wake := g.wake
		if len(flights) > 0 {
			wake = nil // what is new joins when a step has ended
		} else {
			busy = false
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.over:
			if err := g.checkAlive(e); err != nil {
				return err // it died while the epoch was formed
			}
			return errors.New("the epoch is not the one in etcd")
		case <-wake:
		case <-look.C:
			if err := g.look(e, watch); err != nil {
				return err
			}
		case r := <-e.results:
			if r.msg.GetResult() == nil {
				return g.failure(ctx, e, r)
			}
			if err := e.take(flights, r); err != nil {
				return err
			}
			for len(flights) > 0 && flights[0].missing == 0 {
				if err := g.finish(flights[0]); err != nil {
					return err
				}
				if flights = flights[1:]; len(flights) > 0 {
					if err := g.sendMasks(e, flights[0]); err != nil {
						return err
					}
				}
			}
		}
	}
}

// send plans a step and sends it to all ranks; nil while there is none to send.
func (g *Group) send(e *epoch) (*flight, error) {
	g.mu.Lock()
	if g.cfg.MaxPrefillChunk > 0 {
		g.sched.Pace(g.prefill.chunk(g.streams))
	}
	g.sched.At(time.Since(g.began).Seconds())
	step, ok := g.sched.Schedule()
	if !ok {
		g.mu.Unlock()
		return nil, nil
	}
	p, masked := g.message(e, step)
	spans := g.traceStep(e, p)
	g.mu.Unlock()
	if err := e.send(&clusterv1.RunRequest{Message: &clusterv1.RunRequest_Step{Step: p}}); err != nil {
		return nil, err
	}
	return &flight{id: e.step, plan: step, masked: masked, sent: time.Now(), missing: len(e.runs), spans: spans}, nil
}

// send sends to all ranks.
func (e *epoch) send(m *clusterv1.RunRequest) error {
	for r, s := range e.runs {
		// A stream that has ended says so by EOF here; the reason comes from Recv.
		if err := s.Send(m); err != nil && !errors.Is(err, io.EOF) {
			return &rankError{worker: e.members[r].ID, lost: true, err: err}
		}
	}
	return nil
}

// take notes a rank's result. Ranks answer in order, so it is of the first step
// in flight that the rank has not answered yet.
func (e *epoch) take(flights []*flight, r rankResult) error {
	res := r.msg.GetResult()
	e.answered[r.rank]++
	for _, f := range flights {
		if f.id != res.Step || f.id != e.answered[r.rank] {
			continue
		}
		e.timing[r.rank].note(res)
		if r.rank == 0 {
			f.result = res
		}
		f.missing--
		return nil
	}
	return &rankError{worker: e.members[r.rank].ID, err: fmt.Errorf("answered step %d, expected %d", res.Step, e.answered[r.rank])}
}

// finish applies a step's results.
func (g *Group) finish(f *flight) error {
	g.cfg.Metrics.observe(time.Since(f.sent), f)
	for _, s := range f.spans {
		s.End()
	}
	seconds := float64(f.result.GetComputeNs()+f.result.GetCollectiveNs()) / 1e9
	g.mu.Lock()
	defer g.mu.Unlock()
	g.streams = f.plan.Streams
	g.prefill.note(f.plan.Streams, f.plan.Rows-f.plan.Streams, seconds)
	g.speed.note(f.plan.Rows, seconds)
	if seconds > 0 {
		average(&g.rate, float64(f.plan.Rows)/seconds, timingWeight)
	}
	return g.apply(f.plan, f.result)
}

// look asks membership for the epoch's workers, and whether others have come.
func (g *Group) look(e *epoch, watch *watcher) error {
	g.publish(e)
	if err := g.checkAlive(e); err != nil {
		return err
	}
	if err := watch.update(); err != nil {
		return err
	}
	watch.takeDrained(g)
	if watch.grown(len(e.members)) || watch.leaving(e.members) {
		return errChange
	}
	if g.pace.look(time.Now(), e.members, e.timing, g.work(e.plan), func(caps []float64) ([]float64, error) {
		p, err := plan.Make(g.units, caps)
		return g.work(p), err
	}) {
		return errRebalance
	}
	return nil
}

// checkAlive asks membership for the epoch's workers.
func (g *Group) checkAlive(e *epoch) error {
	if g.cfg.Dead == nil {
		return nil
	}
	for _, w := range e.members {
		if g.cfg.Dead(w.ID) {
			return &rankError{worker: w.ID, lost: true, err: errors.New("membership says that it is dead")}
		}
	}
	return nil
}

// message turns a plan into what is sent to every rank, and tells whose masks are to
// follow. g.mu is held.
func (g *Group) message(e *epoch, s sched.Step) (p *clusterv1.StepPlan, masked []sched.Item) {
	e.step++
	g.state.Step = e.step
	p = &clusterv1.StepPlan{Epoch: e.id, Step: e.step, Finished: s.Finished}
	for _, n := range s.Started {
		st := g.seqs[n.ID]
		if st.scheduled.IsZero() {
			st.scheduled = time.Now()
		}
		q := st.seq
		promptLen := n.PromptLen
		if q.PromptLen > 0 {
			promptLen = q.PromptLen
		}
		p.Started = append(p.Started, &clusterv1.NewSequence{
			Id: n.ID, Tokens: n.Tokens, PromptLen: int32(promptLen), NumComputed: int32(n.NumComputed),
			Logprobs: int32(q.Logprobs), PromptLogprobs: int32(q.PromptLogprobs),
			Sampling: samplingOf(q),
		})
	}
	for _, it := range s.Items {
		q := &clusterv1.SequenceStep{
			Id: it.ID, NumComputed: int32(it.NumComputed), Count: int32(it.Count), NewBlocks: it.NewBlocks,
			TokensHash: it.Hash, CheckedTokens: int32(it.Tokens), Sample: it.Sample, Drafts: it.Drafts,
		}
		if q.Masked = it.Sample && g.seqs[it.ID].seq.Constraint != nil; q.Masked {
			masked = append(masked, it)
		}
		p.Sequences = append(p.Sequences, q)
	}
	return p, masked
}

// apply records a step's results and hands tokens to the readers. g.mu is held.
func (g *Group) apply(plan sched.Step, result *clusterv1.StepResult) error {
	if len(result.GetSequences()) != len(plan.Items) {
		return fmt.Errorf("step %d: rank 0 answered for %d sequences of %d", result.GetStep(), len(result.GetSequences()), len(plan.Items))
	}
	for i, it := range plan.Items {
		r := result.Sequences[i]
		if n := len(r.Tokens); r.Id != it.ID || it.Sample != (n > 0) || n > 1+len(it.Drafts) {
			return fmt.Errorf("step %d: rank 0 answered for sequence %d with %d tokens, expected %d", result.Step, r.Id, n, it.ID)
		}
		p, ok := g.sched.Update(it, r.Tokens...)
		if len(it.Drafts) > 0 {
			g.cfg.Metrics.verified(len(it.Drafts), len(r.Tokens)-1)
		}
		if !ok {
			continue // aborted meanwhile
		}
		if err := g.deliver(it, p, r); err != nil {
			return fmt.Errorf("step %d: sequence %d: %w", result.Step, it.ID, err)
		}
	}
	return nil
}

// deliver hands a sequence's part of a result to its reader. g.mu is held.
func (g *Group) deliver(it sched.Item, p sched.Progress, r *clusterv1.SequenceResult) error {
	st := g.seqs[it.ID]
	tokens := r.Tokens[:p.Tokens]
	if c := st.seq.Constraint; c != nil {
		for _, t := range tokens {
			if !c.Accept(t) {
				return fmt.Errorf("rank 0 chose token %d, which its grammar forbids", t)
			}
		}
	}
	if n := p.Prompt.Skip + p.Prompt.Count; p.Prompt.Count > 0 {
		if len(r.PromptScores) < n {
			return fmt.Errorf("%d prompt scores, expected %d", len(r.PromptScores), n)
		}
		ev := gateway.Event{PromptFirst: p.Prompt.First}
		for _, s := range r.PromptScores[p.Prompt.Skip:n] {
			ev.Prompt = append(ev.Prompt, *scoresOf(s))
		}
		st.push(ev)
	}
	if st.seq.Logprobs >= 0 && len(r.Scores) < len(tokens) {
		return fmt.Errorf("%d scores for %d tokens", len(r.Scores), len(tokens))
	}
	if p.Finish != sched.NotFinished {
		delete(g.seqs, it.ID)
		st.release()
	}
	for i, t := range tokens {
		ev := gateway.Event{Token: t, HasToken: true, Scheduled: st.scheduled}
		if st.seq.Logprobs >= 0 {
			ev.Scores = scoresOf(r.Scores[i])
		}
		if i == len(tokens)-1 && p.Finish != sched.NotFinished {
			ev.Finish = finishOf(p.Finish)
			st.end(ev)
		} else {
			st.push(ev)
		}
	}
	if len(tokens) == 0 && p.Finish != sched.NotFinished {
		st.end(gateway.Event{Finish: finishOf(p.Finish)})
	}
	return nil
}

func samplingOf(q gateway.Sequence) *clusterv1.SamplingParams {
	s := q.Sampling
	m := &clusterv1.SamplingParams{
		Temperature: s.Temperature, TopP: s.TopP, TopK: int32(s.TopK), MinP: s.MinP, Seed: s.Seed,
		RepetitionPenalty: s.RepetitionPenalty, PresencePenalty: s.PresencePenalty, FrequencyPenalty: s.FrequencyPenalty,
		MinTokens: int32(s.MinTokens),
	}
	if s.MinTokens > 0 {
		m.StopTokens = q.StopTokens
	}
	for _, b := range s.Bias {
		m.BiasIds, m.BiasValues = append(m.BiasIds, b.ID), append(m.BiasValues, b.Add)
	}
	for _, w := range s.BadWords {
		m.BadWords = append(m.BadWords, &clusterv1.TokenSequence{Ids: w})
	}
	return m
}

func scoresOf(s *clusterv1.TokenScores) *gateway.Scores {
	return &gateway.Scores{Logprob: s.Logprob, TopIDs: s.TopIds, TopLogprobs: s.TopLogprobs}
}

func finishOf(f sched.FinishReason) gateway.FinishReason {
	switch f {
	case sched.Stop:
		return gateway.FinishStop
	case sched.Length:
		return gateway.FinishLength
	}
	return gateway.NotFinished
}
