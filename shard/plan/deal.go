package plan

import (
	"math"

	"github.com/sullae/sullae/kernels/tree"
)

// margin is how much longer than the best possible the slowest rank may take,
// where that saves copied KV heads or partial sums to send. It is small: at
// decode a rank's time is its weights' bytes, beside which a partial sum's are
// few.
const margin = 1.0 / 32

// deal is the problem of dealing n leaves to ranks in contiguous ranges.
type deal struct {
	n     int
	least int       // leaves that every rank must have
	caps  []float64 // capacities, the largest 1
	// load is the work of a range: 0 if empty, growing with the range.
	load func(r tree.Range) int
	// copies, if not nil, is what a range needs copied; it is kept low first.
	copies func(r tree.Range) int
}

// cuts solves the deal: rank r has leaves [cuts[r], cuts[r+1]). The time of a
// rank is its load over its capacity; a rank with no more than the least it
// must have counts as no time, since it cannot have less. The longest time is
// minimal, but for the margin; within that the first of these that differs
// decides: fewest copies, smallest sum of squares of the leaves by which ranks
// miss their proportional part (rounded either way), fewest partial sums
// (subtrees that a range is made of), smallest sum of load^2/capacity.
//
// Two passes of dynamic programming over (rank, cut): one for the shortest
// possible time, one for the best cuts within it.
func (d *deal) cuts() []int {
	limit := d.shortest() * (1 + margin)
	ranks := len(d.caps)
	part := d.parts()
	best := make([][]value, ranks+1) // best[r][p]: of ranks < r with leaves < p
	from := make([][]int, ranks+1)   // where rank r-1's range begins
	for r := range best {
		best[r] = make([]value, d.n+1)
		from[r] = make([]int, d.n+1)
		for p := range best[r] {
			from[r][p] = -1
		}
	}
	from[0][0] = 0
	for r := range ranks {
		for p := (r + 1) * d.least; p <= d.n; p++ {
			for q := p - d.least; q >= 0; q-- {
				leaves := tree.Range{Lo: q, Hi: p}
				if d.time(r, leaves) > limit {
					break
				}
				if from[r][q] < 0 {
					continue
				}
				v := best[r][q].plus(d.value(r, leaves, part[r]))
				if from[r+1][p] < 0 || v.less(best[r+1][p]) {
					best[r+1][p], from[r+1][p] = v, q
				}
			}
		}
	}
	out := make([]int, ranks+1)
	for r, p := ranks, d.n; r > 0; r-- {
		out[r] = p
		p = from[r][p]
	}
	return out
}

// shortest is the smallest possible longest time.
func (d *deal) shortest() float64 {
	best := make([]float64, d.n+1) // of the ranks so far with leaves < p
	for p := range best {
		best[p] = math.Inf(1)
	}
	best[0] = 0
	for r := range d.caps {
		next := make([]float64, d.n+1)
		for p := range next {
			next[p] = math.Inf(1)
			for q := p - d.least; q >= 0; q-- {
				t := d.time(r, tree.Range{Lo: q, Hi: p})
				if t >= next[p] {
					break // a longer range takes longer still
				}
				next[p] = min(next[p], max(best[q], t))
			}
		}
		best = next
	}
	return best[d.n]
}

// parts are the ranks' proportional parts of the leaves.
func (d *deal) parts() []float64 {
	sum := 0.0
	for _, c := range d.caps {
		sum += c
	}
	out := make([]float64, len(d.caps))
	for r, c := range d.caps {
		out[r] = float64(d.n) * (c / sum)
	}
	return out
}

// time is how long rank r takes over a range.
func (d *deal) time(r int, leaves tree.Range) float64 {
	if leaves.Len() <= d.least {
		return 0
	}
	return float64(d.load(leaves)) / d.caps[r]
}

// value is what a choice of cuts is judged by, the first difference deciding.
type value struct {
	copies, missed, partials int
	imbalance                float64
}

// value is that of rank r having the leaves, its proportional part being part.
func (d *deal) value(r int, leaves tree.Range, part float64) value {
	miss := max(0, int(math.Floor(part))-leaves.Len(), leaves.Len()-int(math.Ceil(part)))
	v := value{missed: miss * miss, partials: partials(tree.Range{Hi: d.n}, leaves)}
	if d.copies != nil {
		v.copies = d.copies(leaves)
	}
	// float64(...) keeps the products from being fused with the sum in plus, so
	// that a plan is the same on every machine.
	load := float64(d.load(leaves))
	v.imbalance = float64(float64(load*load) / d.caps[r])
	return v
}

func (a value) plus(b value) value {
	return value{a.copies + b.copies, a.missed + b.missed, a.partials + b.partials, a.imbalance + b.imbalance}
}

func (a value) less(b value) bool {
	switch {
	case a.copies != b.copies:
		return a.copies < b.copies
	case a.missed != b.missed:
		return a.missed < b.missed
	case a.partials != b.partials:
		return a.partials < b.partials
	}
	return a.imbalance < b.imbalance
}

// partials is len(tree.Maximal) for the tree over node, without making the list.
func partials(node, r tree.Range) int {
	switch {
	case r.Empty() || node.Hi <= r.Lo || node.Lo >= r.Hi:
		return 0
	case r.Lo <= node.Lo && node.Hi <= r.Hi:
		return 1
	}
	mid := node.Lo + tree.Split(node.Len())
	return partials(tree.Range{Lo: node.Lo, Hi: mid}, r) + partials(tree.Range{Lo: mid, Hi: node.Hi}, r)
}
