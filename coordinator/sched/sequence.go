package sched

import "github.com/sullae/sullae/coordinator/block"

// sequence is a request and how far it is.
type sequence struct {
	Request
	arrival uint64
	tenant  *tenant

	tokens  []int32 // known: the prompt and what Update has brought
	hash    uint64  // digest of tokens
	pending int     // tokens after these, sampled by steps in flight
	until   int     // number of tokens up to which its keys and values are what they are
	// planned positions are computed once the steps in flight are done. Drafts
	// count when they are accepted.
	planned int
	scored  int // prompt positions before this one need no score
	charged int // positions that the tenant's account has paid for

	// blocks are those of the running sequence, one of each group for each
	// BlockSize positions; only ever appended to.
	blocks []int32
	// slid is the position that windows were last moved to: rows from it on need
	// nothing that is behind a group's window. The sequence does not own the blocks
	// there (owned), and nothing reads or writes them through it.
	slid      int
	hashes    []block.Hash
	published int    // first full blocks whose content is known to the pool
	sent      int    // blocks that the ranks know
	known     bool   // the ranks hold it
	start     uint64 // which run this is; 0 while it waits
	rows      int    // share of the step that is being planned
	deferred  uint64 // call of Schedule that passed it over: its prompt is being computed
	counted   bool   // in the prefix cache's figures
}

// before is the order of running sequences.
func (q *sequence) before(r *sequence) bool {
	if q.Priority != r.Priority {
		return q.Priority < r.Priority
	}
	return q.arrival < r.arrival
}

// generated is the number of tokens that were or are being sampled.
func (q *sequence) generated() int { return len(q.tokens) - len(q.Prompt) + q.pending }

// done means that the steps in flight complete the sequence, stop token or not.
func (q *sequence) done() bool {
	if q.MaxTokens == 0 {
		return q.planned == len(q.tokens)
	}
	return q.generated() >= q.MaxTokens
}

// wants is how many rows could be planned now.
func (q *sequence) wants() int {
	if q.done() || q.pending > 0 && (q.MaxDrafts > 0 || len(q.tokens)+q.pending > q.until) {
		return 0
	}
	return len(q.tokens) + q.pending - q.planned
}

// streams means that a reader waits for each next token.
func (q *sequence) streams() bool { return q.planned >= len(q.Prompt) && !q.done() }

// skippable is how many positions the prefix cache may stand in for. The last
// token is always computed: its logits are wanted. A position whose row scores
// a token of the prompt can't be skipped before the score is out.
func (q *sequence) skippable() int {
	if q.PromptScores && q.scored < len(q.Prompt) {
		return q.scored - 1
	}
	return len(q.tokens) - 1
}
