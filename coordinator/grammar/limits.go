package grammar

import "math"

// Limits. A request comes from outside, so everything that it can make grow has one:
// compiling takes bounded time and memory, and so does a step.
const (
	maxSchemaBytes  = 1 << 20
	maxSchemaDepth  = 64
	maxPatternBytes = 1 << 14
	maxEBNFBytes    = 1 << 18
	maxEBNFDepth    = 64
	maxChoices      = 10_000
	maxChoiceBytes  = 140_000
	maxRepeat       = 10_000 // {n,m} in an EBNF grammar; a regex has RE2's 1000
	maxDigits       = 64     // of a number in a schema
	maxRules        = 20_000
	maxAlternatives = 256 // of one place, after anyOf inside allOf is multiplied out
	maxObjectStates = 20_000
	maxLengthStates = 30_000 // of a pattern with a length

	// buildStates bounds the automata of one grammar, of both kinds together, and
	// buildWork the arcs looked at to make them (some tenths of a second).
	buildStates = 300_000
	buildWork   = 20_000_000

	// denseRows is how many states may have a table of 256 entries.
	denseRows = 8192

	// maxItems bounds the parallel readings of one prefix. Further ones are dropped:
	// only wildly ambiguous grammars come here, and lose some of what they allow.
	maxItems = maxAlternatives
	// walkWork bounds the computing of one piece of a mask, in items advanced by a
	// byte, and maskWork that of all pieces of a mask together; they count alike
	// whether a piece was kept or is computed again. Grammars that people write take
	// a twentieth of it.
	walkWork = 5_000_000
	maskWork = 10_000_000

	// cacheBytes bounds the pieces kept for one grammar and vocabulary.
	cacheBytes = 32 << 20

	maxForced = 256 // bytes
)

// unbounded is the counter's limit where there is none.
const unbounded = math.MaxInt32

// budget is what is left to one compilation.
type budget struct{ states, work int }

func newBudget() *budget { return &budget{states: buildStates, work: buildWork} }

func (b *budget) takeStates(n int) bool { b.states -= n; return b.states >= 0 }

func (b *budget) takeWork(n int) bool { b.work -= n; return b.work >= 0 }
