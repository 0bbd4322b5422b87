package sched

import (
	"sync/atomic"

	"github.com/sullae/sullae/coordinator/block"
)

// Config bounds steps and the queue.
type Config struct {
	MaxBatchedTokens int // rows of a step; should exceed MaxSeqs, so that prompts move while all decode
	MaxSeqs          int // sequences running at once
	MaxModelLen      int // positions of a sequence
	Blocks           int
	BlockSize        int
	// PrefixCache: full blocks are found again by their content.
	PrefixCache bool
	// Windows are those of the groups of layers, each of which has a block of its
	// own for the same positions; nil is one group without a window. Where it is
	// above 0, no position is read by rows that are Windows[g] or more behind it,
	// and blocks that nothing will read are given back.
	Windows []int
	// LongAfter > 0: sequences of more tokens have other keys and values at all
	// their positions. One that grows past it is computed again.
	LongAfter int
	// MaxPrefillChunk bounds the prompt rows of a step while other sequences
	// stream tokens: it is the longest that a prompt makes them wait. 0: only
	// MaxBatchedTokens bounds them.
	MaxPrefillChunk int
	// MaxWaiting bounds the sequences that wait beyond those for which there is
	// room to run, MaxWaitingTokens the tokens of all that wait; 0: no bound.
	// What was preempted or reset waits too, but is never refused.
	MaxWaiting, MaxWaitingTokens int
	// Depth is how many steps may be planned and not yet updated; 0 means 1.
	Depth int
	// Draft proposes tokens that might follow a sequence's tokens, at most limit
	// of them; it must be a pure function. Nil: none are proposed.
	Draft func(id uint64, tokens []int32, limit int) []int32
	// Watch is told of the KV blocks' lives, in seconds of Scheduler.At.
	Watch block.Watch
	// Arrivals are those of all schedulers between which sequences move; nil: none do.
	Arrivals *Arrivals
}

// Arrivals numbers sequences in the order in which they came, whichever scheduler
// they came to: one that moves to another keeps its place among those there.
type Arrivals struct{ last atomic.Uint64 }

// Request is a sequence to run.
type Request struct {
	ID         uint64
	Prompt     []int32 // kept, and not to be changed
	MaxTokens  int     // 0: score the prompt only
	StopTokens []int32
	// PromptScores: the prompt's tokens are scored.
	PromptScores bool
	// Priority: a lower value comes first. The default is 0.
	Priority int
	// Tenant is whom the sequence is for; within a priority tenants share alike.
	Tenant string
	// MaxDrafts is how many proposed tokens a step may check. A sequence with
	// drafts is not planned ahead of its results: the proposals follow from them.
	MaxDrafts int
}
