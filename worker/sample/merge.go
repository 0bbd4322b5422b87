package sample

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/sullae/sullae/kernels/tree"
)

// Errors of Merge.
var (
	// ErrWhole: the candidates do not settle the choice; gather the row whole.
	ErrWhole = errors.New("candidates do not settle the choice")
	// ErrMalformed is a summary of the wrong size: ranks disagree.
	ErrMalformed = errors.New("malformed vocabulary summary")
	// ErrNotFinite: no logit of the row is a number, or their sum is not.
	ErrNotFinite = errors.New("no finite logit")
)

// Vocab says how the vocabulary is spread: blocks over all ranks, and each
// rank's range of blocks.
type Vocab struct {
	Blocks int
	Ranks  []tree.Range
}

// summary is one rank's decoded summary of a row.
type summary struct {
	target  float32
	winner  candidate
	key     float64
	scored  []candidate // likeliest before Process
	top     []candidate // likeliest after it
	blocks  int
	sums    []byte
	scaled  []byte
	partial bool
}

// Merger decodes the ranks' summaries row after row.
type Merger struct {
	vocab Vocab
	data  [][]byte
	parts []summary // of the row that is read
}

// NewMerger reads from data[rank], which Local filled with consecutive rows.
func NewMerger(v Vocab, data [][]byte) *Merger {
	return &Merger{vocab: v, data: slices.Clone(data), parts: make([]summary, len(data))}
}

// Done reports whether all summaries are read.
func (m *Merger) Done() bool {
	for _, d := range m.data {
		if len(d) != 0 {
			return false
		}
	}
	return true
}

// Next merges one row's summaries. scores asks for log-probabilities too (rank
// 0 alone needs them); whole tells that the row was sent whole. ErrWhole leaves
// the token out; the row has to be gathered again, whole.
func (m *Merger) Next(w Want, scores, whole bool) (token int32, s *Scores, err error) {
	parts := m.parts
	for r := range m.data {
		if parts[r], err = m.read(r, w, whole); err != nil {
			return -1, nil, fmt.Errorf("rank %d: %w", r, err)
		}
	}
	top := merged(parts, func(p summary) []candidate { return p.top })
	token = -1
	var logit float32
	switch {
	case !w.Sample:
	case !w.random():
		if len(top) == 0 {
			return -1, nil, ErrNotFinite
		}
		token, logit = top[0].id, top[0].raw
	case w.gumbelOnly():
		key := math.Inf(-1)
		for _, p := range parts {
			if p.winner.id >= 0 && (token < 0 || p.key > key) { // ranks are in id order
				token, logit, key = p.winner.id, p.winner.raw, p.key
			}
		}
		if token < 0 {
			return -1, nil, ErrNotFinite
		}
	default:
		kept, err := m.keep(w, top, parts)
		if err != nil {
			return -1, nil, err
		}
		c := winner(w, kept)
		token, logit = c.id, c.raw
	}
	if w.Target >= 0 {
		logit = float32(math.NaN())
		for _, p := range parts {
			if p.target == p.target {
				logit = p.target
			}
		}
	}
	if scores && w.Scores >= 0 {
		z := logSum(m.vocab, parts, func(p summary) []byte { return p.sums })
		if math.IsNaN(z) || math.IsInf(z, 0) {
			return -1, nil, ErrNotFinite
		}
		s = &Scores{Logprob: float32(float64(logit) - z)}
		likeliest := merged(parts, func(p summary) []candidate { return p.scored })
		for _, c := range likeliest[:min(w.Scores, len(likeliest))] {
			s.TopIDs = append(s.TopIDs, c.id)
			s.TopLogprobs = append(s.TopLogprobs, float32(float64(c.logit)-z))
		}
	}
	return token, s, nil
}

// keep applies min-p, top-k, and top-p over what is left.
func (m *Merger) keep(w Want, top []candidate, parts []summary) ([]candidate, error) {
	if len(top) == 0 {
		return nil, ErrNotFinite
	}
	// Beyond open the candidates are not certainly the likeliest ones; with top-k
	// each rank sent as many as can matter.
	bounded, open := w.Params.TopK > 0, settled(top, parts)
	if bounded {
		top = top[:min(w.Params.TopK, len(top))]
		open = len(top)
	}
	incomplete := open < len(top) || !bounded && slices.ContainsFunc(parts, func(p summary) bool { return p.partial })
	t, best := float64(w.Params.Temperature), float64(top[0].logit)
	if w.minP() {
		least := best + float64(t*ln(float64(w.Params.MinP)))
		n := 0
		for n < open && float64(top[n].logit) >= least {
			n++
		}
		if n == open && incomplete {
			return nil, ErrWhole
		}
		top, open, incomplete = top[:n], n, false
	}
	if !w.topP() {
		return top, nil
	}
	weight := func(c candidate) float64 { return exp(float64((float64(c.logit) - best) / t)) }
	var total float64
	if w.NeedsScaledSums() {
		z := logSum(m.vocab, parts, func(p summary) []byte { return p.scaled })
		total = exp(z - float64(best/t))
	} else {
		for _, c := range top {
			total += weight(c)
		}
	}
	need := float64(float64(w.Params.TopP) * total)
	sum := 0.0
	for i, c := range top[:open] {
		sum += weight(c)
		if sum >= need {
			return top[:i+1], nil
		}
	}
	if incomplete {
		return nil, ErrWhole
	}
	return top, nil // rounding kept the sum below need: everything stays
}

// settled is how many of the merged candidates are certainly the likeliest of
// the whole vocabulary: those no less likely than every partial list's last.
func settled(top []candidate, parts []summary) int {
	n := len(top)
	for _, p := range parts {
		if !p.partial || len(p.top) == 0 {
			continue
		}
		last := p.top[len(p.top)-1]
		i, _ := slices.BinarySearchFunc(top, last, func(a, b candidate) int {
			switch {
			case a.before(b):
				return -1
			case b.before(a):
				return 1
			}
			return 0
		})
		n = min(n, i+1)
	}
	return n
}

// winner is the Gumbel-max choice among the kept tokens.
func winner(w Want, kept []candidate) candidate {
	var r race
	r.reset(w)
	r.winner = kept[0]
	for _, c := range kept {
		group, at := r.noise.group(c.id)
		r.consider(c, group[at])
	}
	return r.winner
}

// merged is all ranks' candidates of one kind, likeliest first.
func merged(parts []summary, of func(summary) []candidate) []candidate {
	if len(parts) == 1 {
		return of(parts[0])
	}
	var all []candidate
	for _, p := range parts {
		all = append(all, of(p)...)
	}
	slices.SortFunc(all, func(a, b candidate) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return all
}

// logSum folds the blocks' (maximum, sum of exp) by the fixed tree over the
// vocabulary's blocks, and returns ln of the whole sum.
func logSum(v Vocab, parts []summary, of func(summary) []byte) float64 {
	type ms struct{ m, s float64 }
	leaf := make([]ms, v.Blocks)
	i := 0
	for _, p := range parts {
		raw := of(p)
		for b := range p.blocks {
			leaf[i] = ms{float64(float32At(raw[8*b:])), float64(float32At(raw[8*b+4:]))}
			i++
		}
	}
	tree.Fold(tree.Range{Lo: 0, Hi: v.Blocks}, func(r tree.Range) bool { return r.Len() == 1 }, func(l, r tree.Range) {
		a, b := leaf[l.Lo], leaf[r.Lo]
		if math.IsInf(a.m, -1) {
			leaf[l.Lo] = b
			return
		}
		if math.IsInf(b.m, -1) {
			return
		}
		m := math.Max(a.m, b.m)
		leaf[l.Lo] = ms{m, float64(a.s*exp(a.m-m)) + float64(b.s*exp(b.m-m))}
	})
	if !(leaf[0].s > 0) {
		return math.NaN()
	}
	return leaf[0].m + ln(leaf[0].s)
}

// read decodes a rank's summary of the next row.
func (m *Merger) read(r int, w Want, whole bool) (p summary, err error) {
	d := m.data[r]
	take := func(n int) []byte {
		if n < 0 || len(d) < n {
			err = fmt.Errorf("%w: %d bytes short", ErrMalformed, n-len(d))
			return make([]byte, max(n, 0))
		}
		b := d[:n]
		d = d[n:]
		return b
	}
	p.blocks = m.vocab.Ranks[r].Len()
	p.target = float32(math.NaN())
	if w.NeedsSums() {
		p.sums = take(8 * p.blocks)
	}
	if w.NeedsScaledSums() {
		p.scaled = take(8 * p.blocks)
	}
	if w.Target >= 0 {
		p.target = float32At(take(4))
	}
	p.winner.id = -1
	if w.gumbelOnly() {
		b := take(candidateBytes + 8)
		p.winner = candidateAt(b)
		p.key = math.Float64frombits(binary.LittleEndian.Uint64(b[candidateBytes:]))
	}
	list := func() (out []candidate) {
		n := int(binary.LittleEndian.Uint32(take(4)))
		if n > len(d)/candidateBytes {
			err = fmt.Errorf("%w: %d candidates in %d bytes", ErrMalformed, n, len(d))
			return nil
		}
		for range n {
			out = append(out, candidateAt(take(candidateBytes)))
		}
		return out
	}
	p.scored = list()
	p.top = list()
	n := len(p.top)
	p.partial = !whole && n > 0 && n == w.candidates()
	m.data[r] = d
	return p, err
}

// candidateBytes is the size of a candidate in a summary.
const candidateBytes = 12

func candidateAt(b []byte) candidate {
	return candidate{int32(binary.LittleEndian.Uint32(b)), float32At(b[4:]), float32At(b[8:])}
}

func float32At(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
