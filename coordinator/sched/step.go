package sched

// Step is a plan.
type Step struct {
	Finished []uint64 // the ranks drop these first
	Started  []Start
	Items    []Item
	Rows     int
	Streams  int // of them, of sequences whose reader waits for each next token
}

// Start is a sequence that the ranks have to know before a step.
type Start struct {
	ID        uint64
	Tokens    []int32 // all known; not to be changed
	PromptLen int
	// NumComputed positions are in the first blocks of the sequence's first item
	// already, from the prefix cache: the ranks begin behind them.
	NumComputed int
}

// Item is one sequence's part of a step. Its rows are Count tokens from position
// NumComputed on, and the Drafts after them.
type Item struct {
	ID          uint64
	NumComputed int
	Count       int
	NewBlocks   []int32 // one of each group of layers in turn; not to be changed
	// Hash is the digest of the first Tokens tokens. They are all that are known
	// here; where a step in flight samples one, the ranks know more.
	Hash   uint64
	Tokens int
	Sample bool
	// Drafts are proposed tokens for the positions behind the last one. The ranks
	// sample at every row from the last token on, for as long as what was sampled
	// equals the draft that follows, and once more: one token, and one for each
	// accepted draft. Keys and values of refused drafts are overwritten later.
	Drafts []int32

	step  uint64 // that the item is part of
	start uint64 // which run of the sequence, of all sequences' runs
}

// FinishReason says why a sequence ended.
type FinishReason uint8

// Finish reasons.
const (
	NotFinished FinishReason = iota
	Stop
	Length
)

// Progress is what a step's result means for one sequence.
type Progress struct {
	ID     uint64
	Prompt Scored
	Token  bool // the sampled token counts
	// Tokens is how many of the sampled tokens count, from the first on: those
	// after a stop token don't.
	Tokens int
	Finish FinishReason
}

// Scored is a run of prompt scores that a step made.
type Scored struct {
	First, Count int // positions [First, First+Count)
	Skip         int // of the scores that came, how many were had before
}
