package sample

import (
	"encoding/binary"
	"math"
)

// Local is what one rank's part of a row of logits comes to. It takes the part in
// runs of tokens, in any order; two that took parts of a row make one (Join).
// Whatever the runs, the summary is the same.
type Local struct {
	want   Want
	race   race
	target float32
	scored ranking // likeliest before Process
	top    ranking // likeliest after it
}

// Reset begins with a row of which the rank has n tokens. whole makes each of them a
// candidate.
func (l *Local) Reset(w Want, n int, whole bool) {
	l.want, l.target = w, float32(math.NaN())
	if w.gumbelOnly() {
		l.race.reset(w)
	}
	k := w.candidates()
	if whole {
		k = n
	}
	l.scored.reset(min(max(w.Scores, 0), n))
	l.top.reset(min(k, n))
}

// Take takes the tokens from base on: their logits, and what the token is chosen from,
// which are the same where the request has no Process.
func (l *Local) Take(base int32, raw, processed []float32) {
	if i := int(l.want.Target - base); l.want.Target >= 0 && i >= 0 && i < len(raw) {
		l.target = raw[i]
	}
	if l.want.gumbelOnly() {
		l.race.take(base, raw, processed)
	}
	l.scored.take(base, raw, raw)
	l.top.take(base, raw, processed)
}

// Join takes what o took.
func (l *Local) Join(o *Local) {
	if o.target == o.target {
		l.target = o.target
	}
	if l.want.gumbelOnly() {
		l.race.join(&o.race)
	}
	l.scored.join(&o.scored)
	l.top.join(&o.top)
}

// Append appends the row's summary to dst and ends the row. sums are Backend.ExpSums
// of its logits, as (maximum, sum) per vocabulary block; scaled those of the processed
// ones divided by the temperature; where the Want needs them.
func (l *Local) Append(dst []byte, sums, scaled []float32) []byte {
	w := l.want
	if w.NeedsSums() {
		dst = appendFloats(dst, sums)
	}
	if w.NeedsScaledSums() {
		dst = appendFloats(dst, scaled)
	}
	if w.Target >= 0 {
		dst = appendFloats(dst, []float32{l.target})
	}
	if w.gumbelOnly() {
		dst = appendCandidate(dst, l.race.winner)
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(l.race.key))
	}
	dst = appendCandidates(dst, l.scored.sorted())
	return appendCandidates(dst, l.top.sorted())
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

func appendFloats(dst []byte, f []float32) []byte {
	for _, v := range f {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
	}
	return dst
}
