package group

import (
	"encoding/binary"
	"errors"

	"github.com/sullae/sullae/coordinator/gateway"
)

// errNothingAllowed ends a sequence whose grammar has no next token: the
// vocabulary lacks one that would do.
var errNothingAllowed = errors.New("no token of the vocabulary continues the structured output")

// allowed is the bit set of tokens that a sequence's grammar lets follow, nil
// for a sequence without one. A sequence without any is ended; what the step
// makes of it does not matter. g.mu is held.
func (g *Group) allowed(id uint64) []byte {
	st := g.seqs[id]
	if st == nil || st.seq.Constraint == nil {
		return nil
	}
	words := make([]uint64, (g.cfg.Checkpoint.Spec().Vocab+63)/64)
	if !st.seq.Constraint.Mask(words) {
		g.sched.Abort(id)
		delete(g.seqs, id)
		st.release()
		st.end(gateway.Event{Err: errNothingAllowed})
		return nil
	}
	out := make([]byte, 8*len(words))
	for i, w := range words {
		binary.LittleEndian.PutUint64(out[8*i:], w)
	}
	return out
}
