package sample

import "math"

// race finds the token with the largest key, logit/temperature + noise, ties by lower
// id; id -1 where no key is above -Inf.
type race struct {
	temperature float64
	noise       noise
	winner      candidate
	key         float64
}

func (r *race) reset(w Want) {
	*r = race{temperature: float64(w.Params.Temperature), noise: newNoise(w.Params.Seed, w.Position), winner: candidate{id: -1}, key: math.Inf(-1)}
}

// raceRun tokens share the bound on their logits.
const raceRun = 2048

func (r *race) take(base int32, raw, logits []float32) {
	for len(logits) > 0 {
		n := min(raceRun, len(logits))
		r.run(base, raw[:n], logits[:n])
		base, raw, logits = base+int32(n), raw[n:], logits[n:]
	}
}

func (r *race) run(base int32, raw, logits []float32) {
	first := -1
	top := float32(math.Inf(-1))
	for i, x := range logits {
		if x > top {
			first, top = i, x
		}
	}
	best := float64(float64(top) / r.temperature)
	if first < 0 || best+maxGumbel < r.key {
		return
	}
	// A high bar at once spares most others their noise.
	group, at := r.noise.group(base + int32(first))
	r.consider(candidate{base + int32(first), logits[first], raw[first]}, group[at])
	least := noiseBits(best, r.key)
	for i := 0; i < len(logits); {
		group, at := r.noise.group(base + int32(i))
		for _, bits := range group[at:min(4, at+len(logits)-i)] {
			if bits >= least && r.consider(candidate{base + int32(i), logits[i], raw[i]}, bits) {
				least = noiseBits(best, r.key)
			}
			i++
		}
	}
}

// consider lets a token win, given the random bits of its noise.
func (r *race) consider(c candidate, bits uint32) bool {
	scaled := float64(float64(c.logit) / r.temperature)
	if scaled+noiseBound(bits) < r.key {
		return false
	}
	k := scaled + gumbelOf(bits)
	if k > r.key || k == r.key && c.id < r.winner.id {
		r.winner, r.key = c, k
		return true
	}
	return false
}

// noiseBits is what the random bits of a token's noise must be at least for it to have
// the given key, with a logit, scaled, of at most best: noise grows with them. It errs
// to the lower side, by more than math.Exp differs between architectures.
func noiseBits(best, key float64) uint32 {
	d := key - best
	d -= 1e-6 + 1e-12*(math.Abs(key)+math.Abs(best))
	u := math.Exp(-math.Exp(-d))
	if !(u > 0) {
		return 0
	}
	return uint32(max(0, min(u*(1<<32)-1, 1<<32-1)))
}

func (r *race) join(o *race) {
	if o.winner.id >= 0 && (r.winner.id < 0 || o.key > r.key || o.key == r.key && o.winner.id < r.winner.id) {
		r.winner, r.key = o.winner, o.key
	}
}
