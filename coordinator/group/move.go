package group

import (
	"context"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/sched"
)

// Moving is a sequence on its way to another group. Its reader sees a pause.
type Moving struct {
	sched sched.Moved
	st    *stream
}

// Prompt is what its sequence began with.
func (m Moving) Prompt() []int32 { return m.st.seq.Prompt }

// Release gives up all sequences of a group whose epoch has ended, to be adopted
// by others: what they had computed is lost here, too.
func (g *Group) Release() []Moving {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state.Phase == "serving" {
		return nil
	}
	return g.detach(g.sched.Sequences())
}

// ReleaseWaiting gives up the last n of the sequences that wait, in their order, or
// as many as there are.
func (g *Group) ReleaseWaiting(n int) []Moving {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.sched.Sequences()
	waiting, _ := g.sched.Unfinished()
	return g.detach(all[len(all)-min(n, waiting):])
}

// detach gives up sequences that wait. g.mu is held.
func (g *Group) detach(list []sched.SequenceState) (out []Moving) {
	for _, q := range list {
		st := g.seqs[q.ID]
		st.release()
		delete(g.seqs, q.ID)
		out = append(out, Moving{g.sched.Detach(q.ID), st})
	}
	return out
}

// End is for a sequence that no group can go on with.
func (m Moving) End(err error) { m.st.end(gateway.Event{Err: err}) }

// Adopt goes on with a sequence that a group has released.
func (g *Group) Adopt(m Moving) error {
	id := g.nextID.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.closed
	if err == nil {
		err = g.sched.Attach(id, m.sched)
	}
	if err != nil {
		return err
	}
	g.seqs[id] = m.st
	m.st.release = context.AfterFunc(m.st.ctx, func() { g.abort(id, context.Cause(m.st.ctx)) })
	g.poke()
	return nil
}

// Cached is how many of a prompt's tokens the group would not have to compute now.
func (g *Group) Cached(prompt []int32) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sched.CachedTokens(prompt)
}
