package sample

import (
	"cmp"
	"math"
	"slices"
)

// candidate is a token with its logit, and what the logit was before the
// request's Process.
type candidate struct {
	id         int32
	logit, raw float32
}

// before is the order of likelihood: higher logit first, ties by lower id.
func (c candidate) before(d candidate) bool {
	return c.logit > d.logit || c.logit == d.logit && c.id < d.id
}

// ranking keeps the k likeliest tokens, once they are more in a heap whose root is the
// least of them. Forbidden tokens (-Inf) and NaN are left out.
type ranking struct {
	k      int
	kept   []candidate
	heaped bool
}

func (r *ranking) reset(k int) {
	if cap(r.kept) > 4*openCandidates && k <= openCandidates {
		r.kept = nil // of a whole row
	}
	r.k, r.kept, r.heaped = k, r.kept[:0], false
}

// take offers the tokens from base on.
func (r *ranking) take(base int32, raw, logits []float32) {
	if r.k == 0 {
		return
	}
	bar := float32(math.Inf(-1)) // below it no token gets in
	if r.heaped {
		bar = r.kept[0].logit
	}
	for i, x := range logits {
		if x >= bar && x > float32(math.Inf(-1)) {
			r.offer(candidate{base + int32(i), x, raw[i]})
			if r.heaped {
				bar = r.kept[0].logit
			}
		}
	}
}

func (r *ranking) offer(c candidate) {
	if len(r.kept) < r.k {
		r.kept = append(r.kept, c)
		return
	}
	if !r.heaped {
		for i := len(r.kept)/2 - 1; i >= 0; i-- {
			sink(r.kept, i)
		}
		r.heaped = true
	}
	if c.before(r.kept[0]) {
		r.kept[0] = c
		sink(r.kept, 0)
	}
}

func (r *ranking) join(o *ranking) {
	for _, c := range o.kept {
		r.offer(c)
	}
}

// manyTokens are sorted faster digit by digit.
const manyTokens = 4096

// sorted is what was kept, likeliest first. Nothing can be offered after it.
func (r *ranking) sorted() []candidate {
	byID := func(a, b candidate) int { return cmp.Compare(a.id, b.id) }
	switch {
	case len(r.kept) < manyTokens:
		slices.SortFunc(r.kept, func(a, b candidate) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		return r.kept
	case !slices.IsSortedFunc(r.kept, byID):
		slices.SortFunc(r.kept, byID)
	}
	// Three stable passes over 11 bits each, from the lowest.
	const bits, buckets = 11, 1 << 11
	from, to := r.kept, make([]candidate, len(r.kept))
	for shift := 0; shift < 32; shift += bits {
		var next [buckets]int32
		for _, c := range from {
			next[c.digits()>>shift%buckets]++
		}
		at := int32(0)
		for i, n := range next {
			next[i] = at
			at += n
		}
		for _, c := range from {
			d := &next[c.digits()>>shift%buckets]
			to[*d] = c
			*d++
		}
		from, to = to, from
	}
	return from
}

// digits order as logits do, the highest first; zeros are alike.
func (c candidate) digits() uint32 {
	u := math.Float32bits(c.logit + 0) // -0 becomes 0
	if u>>31 != 0 {
		return u
	}
	return ^u &^ (1 << 31)
}

// sink restores the heap below i.
func sink(h []candidate, i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && h[c].before(h[c+1]) {
			c++
		}
		if !h[i].before(h[c]) {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}
