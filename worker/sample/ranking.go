package sample

import (
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

// ranking keeps the k likeliest tokens, in a heap whose root is the least of them.
// Forbidden tokens (-Inf) and NaN are left out.
type ranking struct {
	k    int
	heap []candidate
}

func (r *ranking) reset(k int) {
	if cap(r.heap) > 4*openCandidates && k <= openCandidates {
		r.heap = nil // of a whole row
	}
	r.k, r.heap = k, r.heap[:0]
}

// take offers the tokens from base on.
func (r *ranking) take(base int32, raw, logits []float32) {
	if r.k == 0 {
		return
	}
	bar := r.bar()
	for i, x := range logits {
		if x >= bar && x > float32(math.Inf(-1)) {
			r.offer(candidate{base + int32(i), x, raw[i]})
			bar = r.bar()
		}
	}
}

// bar is a logit below which no token gets in.
func (r *ranking) bar() float32 {
	if len(r.heap) < r.k {
		return float32(math.Inf(-1))
	}
	return r.heap[0].logit
}

func (r *ranking) offer(c candidate) {
	h := r.heap
	if len(h) == r.k {
		if c.before(h[0]) {
			h[0] = c
			sink(h)
		}
		return
	}
	h = append(h, c)
	for j := len(h) - 1; j > 0; {
		p := (j - 1) / 2
		if !h[p].before(h[j]) {
			break
		}
		h[p], h[j] = h[j], h[p]
		j = p
	}
	r.heap = h
}

func (r *ranking) join(o *ranking) {
	for _, c := range o.heap {
		r.offer(c)
	}
}

// sorted is what was kept, likeliest first. Nothing can be offered after it.
func (r *ranking) sorted() []candidate {
	slices.SortFunc(r.heap, func(a, b candidate) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return r.heap
}

// sink restores the heap below its root.
func sink(h []candidate) {
	for i := 0; ; {
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
