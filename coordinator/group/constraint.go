package group

import (
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/sched"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
)

// errNothingAllowed ends a sequence whose grammar has no next token: the
// vocabulary lacks one that would do.
var errNothingAllowed = errors.New("no token of the vocabulary continues the structured output")

// sendMasks sends the ranks what may follow in a step, when the results of all steps
// before it are in: they compute its layers meanwhile.
func (g *Group) sendMasks(e *epoch, f *flight) error {
	if len(f.masked) == 0 {
		return nil
	}
	began := time.Now()
	g.mu.Lock()
	masks := g.masks(f.masked)
	g.mu.Unlock()
	g.cfg.Metrics.masked(time.Since(began))
	return e.send(&clusterv1.RunRequest{Message: &clusterv1.RunRequest_Masks{Masks: &clusterv1.StepMasks{Step: f.id, Masks: masks}}})
}

// masks are, by item, the bit sets of tokens that the sequence's grammar lets follow,
// and lets follow each draft. They are made on all processors at once. A sequence that
// nothing may follow is ended; what the step makes of it, or of one that is computed
// in vain, does not matter. g.mu is held.
func (g *Group) masks(items []sched.Item) []*clusterv1.Mask {
	out := make([]*clusterv1.Mask, len(items))
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < len(items); i = int(next.Add(1)) - 1 {
			out[i] = &clusterv1.Mask{}
			if it := items[i]; g.sched.Current(it) {
				out[i].Allowed = g.allowed(g.seqs[it.ID].seq, it)
			}
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(items)) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	for i, it := range items {
		if out[i].Allowed == nil && g.sched.Current(it) {
			st := g.seqs[it.ID]
			g.sched.Abort(it.ID)
			delete(g.seqs, it.ID)
			st.release()
			st.end(gateway.Event{Err: errNothingAllowed})
		}
	}
	return out
}

// allowed are an item's bit sets; nil where nothing may follow. After a draft that
// the grammar forbids, which can't be chosen, nothing matters.
func (g *Group) allowed(q gateway.Sequence, it sched.Item) [][]byte {
	c := q.Constraint
	room := q.MaxTokens - (it.NumComputed + it.Count - len(q.Prompt))
	words := make([]uint64, (g.cfg.Checkpoint.Spec().Vocab+63)/64)
	out := make([][]byte, 1+len(it.Drafts))
	accepted := 0
	for i := range out {
		if i > 0 && (accepted < i-1 || !c.Accept(it.Drafts[i-1])) {
			out[i] = out[i-1]
			continue
		}
		accepted = i
		if !c.MaskWithin(words, room-i) && i == 0 {
			return nil
		}
		out[i] = make([]byte, 8*len(words))
		for w, bits := range words {
			binary.LittleEndian.PutUint64(out[i][8*w:], bits)
		}
	}
	c.Rollback(accepted)
	return out
}
