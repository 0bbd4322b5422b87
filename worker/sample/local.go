package sample

import (
	"encoding/binary"
	"math"
)

// candidate is a token and its logit.
type candidate struct {
	id    int32
	logit float32
}

// before is the order of likelihood: higher logit first, ties by lower id.
func (c candidate) before(d candidate) bool {
	return c.logit > d.logit || c.logit == d.logit && c.id < d.id
}

// Local appends a rank's summary of one row to dst. logits are those of ids
// [base, base+len(logits)); sums and scaled are ExpSums of the row at
// temperature 1 and at the row's own, as (maximum, sum) per vocabulary block,
// where the Want needs them. whole sends every token as a candidate.
func Local(dst []byte, w Want, logits []float32, base int32, sums, scaled []float32, whole bool) []byte {
	if w.NeedsSums() {
		dst = appendFloats(dst, sums)
	}
	if w.NeedsScaledSums() {
		dst = appendFloats(dst, scaled)
	}
	if w.Target >= 0 {
		x := float32(math.NaN())
		if i := int(w.Target - base); i >= 0 && i < len(logits) {
			x = logits[i]
		}
		dst = appendFloats(dst, []float32{x})
	}
	if w.gumbelOnly() {
		c, key := localWinner(w, logits, base)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(c.id))
		dst = appendFloats(dst, []float32{c.logit})
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(key))
	}
	k := w.candidates()
	if whole {
		k = len(logits)
	}
	top := likeliest(logits, base, k)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(top)))
	for _, c := range top {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(c.id))
		dst = appendFloats(dst, []float32{c.logit})
	}
	return dst
}

// localWinner is the rank's own argmax of logit/temperature + noise; id -1 where
// the range is empty or nothing is comparable.
func localWinner(w Want, logits []float32, base int32) (candidate, float64) {
	t := float64(w.Params.Temperature)
	win, key := candidate{id: -1}, math.Inf(-1)
	consider := func(i int) {
		k := float64(float64(logits[i])/t) + gumbel(w.Params.Seed, w.Position, base+int32(i))
		id := base + int32(i)
		if k > key || k == key && id < win.id {
			win, key = candidate{id, logits[i]}, k
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
		if i != first && float64(float64(x)/t)+maxGumbel >= key {
			consider(i)
		}
	}
	return win, key
}

// likeliest returns the k largest logits in order, by a heap whose root is the
// least of those kept.
func likeliest(logits []float32, base int32, k int) []candidate {
	k = min(k, len(logits))
	if k == 0 {
		return nil
	}
	h := make([]candidate, 0, k)
	for i, x := range logits {
		c := candidate{base + int32(i), x}
		if x != x { // NaN is never likely
			continue
		}
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
