package group

import (
	"encoding/binary"
	"errors"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/sched"
)

// errNothingAllowed ends a sequence whose grammar has no next token: the
// vocabulary lacks one that would do.
var errNothingAllowed = errors.New("no token of the vocabulary continues the structured output")

// allowed are the bit sets of tokens that a sequence's grammar lets follow, and
// lets follow each draft; nil for a sequence without one. After a draft that the
// grammar forbids, which can't be chosen, nothing matters. A sequence that nothing
// may follow is ended; what the step makes of it does not matter. g.mu is held.
func (g *Group) allowed(it sched.Item) [][]byte {
	st := g.seqs[it.ID]
	if st == nil || st.seq.Constraint == nil {
		return nil
	}
	c := st.seq.Constraint
	words := make([]uint64, (g.cfg.Checkpoint.Spec().Vocab+63)/64)
	out := make([][]byte, 1+len(it.Drafts))
	accepted := 0
	for i := range out {
		if i > 0 && (accepted < i-1 || !c.Accept(it.Drafts[i-1])) {
			out[i] = out[i-1]
			continue
		}
		accepted = i
		if !c.Mask(words) && i == 0 {
			g.sched.Abort(it.ID)
			delete(g.seqs, it.ID)
			st.release()
			st.end(gateway.Event{Err: errNothingAllowed})
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
