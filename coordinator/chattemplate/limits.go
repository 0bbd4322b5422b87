package chattemplate

// Limits bound what one rendering may cost.
type Limits struct {
	Steps       int // expressions, statements and iterations
	MemoryBytes int // of all strings and lists made on the way, not at once
	OutputBytes int
	Depth       int // of macro calls, and of values within values
}

// DefaultLimits are far above what published templates need.
var DefaultLimits = Limits{Steps: 10_000_000, MemoryBytes: 256 << 20, OutputBytes: 64 << 20, Depth: 100}

// maxRange is the longest range() of Jinja's sandbox.
const maxRange = 100_000

func (s *state) step() { s.steps(1) }

// steps pays for work that takes n times as long as an expression.
func (s *state) steps(n int) {
	if s.stepsLeft -= n; s.stepsLeft < 0 {
		failf("more than %d steps", s.limits.Steps)
	}
}

// spend pays for n bytes about to be made, or just made.
func (s *state) spend(n int) {
	if s.bytesLeft -= n; s.bytesLeft < 0 {
		failf("more than %d bytes of memory", s.limits.MemoryBytes)
	}
	s.steps(n / 64)
}

// spendTimes pays for n copies of size bytes, whose product may overflow.
func (s *state) spendTimes(n int64, size int) {
	if n > 0 && size > 0 && n > int64(s.bytesLeft/size) {
		failf("more than %d bytes of memory", s.limits.MemoryBytes)
	}
	if n > 0 {
		s.spend(int(n) * size)
	}
}

// enter counts one more level of calls, or of values within values; the result
// undoes it.
func (s *state) enter() func() {
	if s.depth++; s.depth > s.limits.Depth {
		failf("calls or values nest more than %d deep", s.limits.Depth)
	}
	return func() { s.depth-- }
}
