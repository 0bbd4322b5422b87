package sample

import (
	"encoding/binary"
	"math"
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

// Row is one rank's part of a row of logits.
type Row struct {
	Base int32 // id of the first
	Raw  []float32
	// Processed is what the token is chosen from: Raw itself where the request
	// has no Process.
	Processed []float32
	// Sums are ExpSums of Raw, as (maximum, sum) per vocabulary block; Scaled
	// those of Processed divided by the temperature; where the Want needs them.
	Sums, Scaled []float32
}

// Local appends a rank's summary of one row to dst. whole sends every token as
// a candidate.
func Local(dst []byte, w Want, row Row, whole bool) []byte {
	if w.NeedsSums() {
		dst = appendFloats(dst, row.Sums)
	}
	if w.NeedsScaledSums() {
		dst = appendFloats(dst, row.Scaled)
	}
	if w.Target >= 0 {
		x := float32(math.NaN())
		if i := int(w.Target - row.Base); i >= 0 && i < len(row.Raw) {
			x = row.Raw[i]
		}
		dst = appendFloats(dst, []float32{x})
	}
	if w.gumbelOnly() {
		c, key := localWinner(w, row)
		dst = appendCandidate(dst, c)
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(key))
	}
	dst = appendCandidates(dst, likeliest(row.Raw, row.Raw, row.Base, max(w.Scores, 0)))
	k := w.candidates()
	if whole {
		k = len(row.Processed)
	}
	return appendCandidates(dst, likeliest(row.Processed, row.Raw, row.Base, k))
}

func appendCandidates(dst []byte, list []candidate) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(list)))
	for _, c := range list {
		dst = appendCandidate(dst, c)
	}
	return dst
}

func appendCandidate(dst []byte, c candidate) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(c.id))
	return appendFloats(dst, []float32{c.logit, c.raw})
}

// localWinner is the rank's own argmax of logit/temperature + noise; id -1 where
// the range is empty or nothing is comparable.
func localWinner(w Want, row Row) (candidate, float64) {
	logits, base := row.Processed, row.Base
	t := float64(w.Params.Temperature)
	win, key := candidate{id: -1}, math.Inf(-1)
	noise := newNoise(w.Params.Seed, w.Position)
	consider := func(i int) {
		id := base + int32(i)
		k := float64(float64(logits[i])/t) + noise.of(id)
		if k > key || k == key && id < win.id {
			win, key = candidate{id, logits[i], row.Raw[i]}, k
		}
	}
	first := -1
	for i, x := range logits {
		if first < 0 && x == x || first >= 0 && x > logits[first] {
			first = i
		}
	}
	if first < 0 {
		return win, key
	}
	consider(first) // a high bar at once spares most others their noise
	for i, x := range logits {
		scaled := float64(float64(x) / t)
		if scaled+maxGumbel >= key && scaled+noise.bound(base+int32(i)) >= key && i != first {
			consider(i)
		}
	}
	return win, key
}

// likeliest returns the k largest logits in order, by a heap whose root is the
// least of those kept. Forbidden tokens (-Inf) and NaN are left out.
func likeliest(logits, raw []float32, base int32, k int) []candidate {
	switch k = min(k, len(logits)); k {
	case 0:
		return nil
	case 1:
		return greatest(logits, raw, base)
	}
	h := make([]candidate, 0, k)
	for i, x := range logits {
		if !(x > float32(math.Inf(-1))) {
			continue
		}
		c := candidate{base + int32(i), x, raw[i]}
		if len(h) < k {
			h = append(h, c)
			for j := len(h) - 1; j > 0; {
				p := (j - 1) / 2
				if !h[p].before(h[j]) {
					break
				}
				h[p], h[j] = h[j], h[p]
				j = p
			}
		} else if c.before(h[0]) {
			h[0] = c
			sink(h)
		}
	}
	for n := len(h) - 1; n > 0; n-- {
		h[0], h[n] = h[n], h[0]
		sink(h[:n])
	}
	return h
}

// greatest is likeliest's first.
func greatest(logits, raw []float32, base int32) []candidate {
	at, top := -1, float32(math.Inf(-1))
	for i, x := range logits {
		if x > top {
			at, top = i, x
		}
	}
	if at < 0 {
		return nil
	}
	return []candidate{{base + int32(at), top, raw[at]}}
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

func appendFloats(dst []byte, f []float32) []byte {
	for _, v := range f {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
	}
	return dst
}
