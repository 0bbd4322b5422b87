package group

import "math/bits"

// pacer chooses how many rows of prompts go with a step in which others stream,
// from how long steps have taken: so many that the step is about twice as long as
// without them. So a long prompt never makes the streams stutter, whatever the
// model and the machine, and has half of the time. (Where more prompts wait than
// streams run, the scheduler lets them go first.)
type pacer struct {
	limit int // never more
	// alone are steps without prompts, by the size of their rows' number in bits.
	alone [16]streamStep
	// rest is what was left of the shortest step with prompts without their rows, for
	// numbers of streams that were never alone: under a steady load none may be.
	rest [16]float64
	row  float64 // what a prompt's row adds to a step, in seconds
}

// streamStep is how many streams a step had and how long it took, in seconds, on
// average; zero where there was none.
type streamStep struct{ streams, seconds float64 }

const (
	// leastChunk is the fewest rows: less would not pay for the step.
	leastChunk = 4
	// firstChunk holds while nothing is known yet.
	firstChunk = 16
	// The weights of a step in the averages. Rows get dearer along a prompt.
	aloneWeight, rowWeight = 0.1, 0.25
)

func average(have *float64, x, weight float64) {
	if *have == 0 {
		*have = x
	}
	*have += weight * (x - *have)
}

// note learns from a step with rows of streams and of prompts.
func (p *pacer) note(streams, prompts int, seconds float64) {
	switch {
	case seconds <= 0:
	case prompts == 0:
		a := &p.alone[bits.Len(uint(streams))]
		average(&a.streams, float64(streams), aloneWeight)
		average(&a.seconds, seconds, aloneWeight)
	case streams == 0:
		average(&p.row, seconds/float64(prompts), rowWeight)
	case p.alone[bits.Len(uint(streams))].seconds == 0 && p.row > 0:
		rest := &p.rest[bits.Len(uint(streams))]
		if left := seconds - float64(prompts)*p.row; *rest == 0 || left < *rest {
			*rest = left
		}
	default:
		if base := p.base(streams); base > 0 {
			average(&p.row, max(seconds-base, 0)/float64(prompts), rowWeight)
		}
	}
}

// base is how long a step of so many streams takes alone: between those that were
// measured, or beyond them as the last two lead on, and at least what was left of
// steps with prompts; 0 if nothing is known.
func (p *pacer) base(streams int) float64 {
	n := float64(streams)
	var below, before, above streamStep
	for _, a := range p.alone {
		switch {
		case a.seconds == 0:
		case a.streams <= n:
			before, below = below, a
		case above.seconds == 0:
			above = a
		}
	}
	switch {
	case below.seconds > 0 && above.seconds > 0:
		return below.seconds + (above.seconds-below.seconds)*(n-below.streams)/(above.streams-below.streams)
	case above.seconds > 0:
		return above.seconds * n / above.streams
	case before.seconds > 0:
		below.seconds += max(below.seconds-before.seconds, 0) * (n - below.streams) / (below.streams - before.streams)
	}
	return max(below.seconds, p.rest[bits.Len(uint(streams))])
}

// chunk is how many rows of prompts go with so many streams.
func (p *pacer) chunk(streams int) int {
	base := p.base(streams)
	if base == 0 || p.row == 0 {
		return min(firstChunk, p.limit)
	}
	return max(min(int(min(base/p.row, 1e6)), p.limit), min(leastChunk, p.limit))
}
