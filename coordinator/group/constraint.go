package group

import (
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/sched"
)

// errNothingAllowed ends a sequence whose grammar has no next token: the
// vocabulary lacks one that would do.
var errNothingAllowed = errors.New("no token of the vocabulary continues the structured output")

// masks are, by item, the bit sets of tokens that the sequence's grammar lets follow,
// and lets follow each draft; nil for those without a grammar. They are made on all
// processors at once, and while the ranks run the step that was sent ahead, if there
// is one. A sequence that nothing may follow is ended; what the step makes of it does
// not matter. g.mu is held.
func (g *Group) masks(items []sched.Item) [][][]byte {
	out := make([][][]byte, len(items))
	var which []int
	for i, it := range items {
		if st := g.seqs[it.ID]; it.Sample && st != nil && st.seq.Constraint != nil {
			which = append(which, i)
		}
	}
	var next atomic.Int64
	work := func() {
		for n := int(next.Add(1)) - 1; n < len(which); n = int(next.Add(1)) - 1 {
			it := items[which[n]]
			out[which[n]] = g.allowed(g.seqs[it.ID].seq, it)
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(which)) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	for _, i := range which {
		if st := g.seqs[items[i].ID]; out[i] == nil {
			g.sched.Abort(items[i].ID)
			delete(g.seqs, items[i].ID)
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
	room := q.MaxTokens - (it.Tokens - len(q.Prompt))
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
