package model

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
)

// rope reads the rotary embedding: "rope_theta" and "rope_scaling", or the one
// object "rope_parameters" that newer files have. No object, or type "default",
// means no scaling.
func (f *fields) rope(a *family, s *Spec) Rope {
	section, older := f.object("rope_parameters"), f.object("rope_scaling")
	switch {
	case section == nil:
		section = older
	case older != nil && !sameJSON(f.raw["rope_parameters"], f.raw["rope_scaling"]):
		f.fail("rope_scaling", "differs from rope_parameters, which is its newer name; leave one of them out")
	}
	if section == nil {
		section = &fields{file: f.file}
	}
	if !section.has("rope_type") && !section.has("type") && section.nested() {
		section.fail("rope_type", "missing; settings that differ by layer type are not supported")
		f.take(section)
	}
	r := Rope{Theta: f.theta(section, a.theta), Dim: s.HeadDim}
	if from := holder("partial_rotary_factor", section, f); from != nil {
		part := from.real("partial_rotary_factor", 0, 1)
		if part != 1 && !a.partialRotary {
			from.fail("partial_rotary_factor", "%g is not supported; every element of a head is rotated", part)
		}
		if r.Dim = int(float64(s.HeadDim) * part); r.Dim < 2 || r.Dim%2 != 0 {
			from.fail("partial_rotary_factor", "%g of a head of %d is %d elements; an even number belongs here", part, s.HeadDim, r.Dim)
		}
		f.take(from)
	}
	if f.err != nil || len(section.raw) == 0 {
		return r
	}
	key := "rope_type"
	if !section.has(key) && section.has("type") {
		key = "type" // the older name
	}
	switch name := strings.ToLower(section.text(key)); name {
	case "default":
	case "linear":
		r.Linear = section.real("factor", 0, 1e6)
	case "llama3":
		r.Llama3 = section.llama3()
	case "longrope", "su":
		r.Long = f.longRope(section, r.Dim, s.MaxPositions)
	default:
		section.fail(key, "%q is not supported; supported: default, linear, llama3, longrope", name)
	}
	f.take(section)
	return r
}

// theta is "rope_theta", of the section or beside it.
func (f *fields) theta(section *fields, absent float64) float64 {
	const key = "rope_theta"
	from := holder(key, section, f)
	if from == nil {
		if absent > 0 {
			return absent
		}
		from = f // to say that it is missing
	}
	v := from.real(key, 1, 1e15)
	if from == section && f.has(key) && f.real(key, 1, 1e15) != v {
		f.fail(key, "%s, but %s%s is %g; they are two names of one number", f.show(key), section.prefix, key, v)
	}
	f.take(from)
	return v
}

// holder is the first object that has the key, or nil.
func holder(key string, objects ...*fields) *fields {
	for _, o := range objects {
		if o.has(key) {
			return o
		}
	}
	return nil
}

// take takes over the error of a nested object.
func (f *fields) take(in *fields) {
	if f.err == nil {
		f.err = in.err
	}
}

// nested reports whether there are members, and all are objects.
func (f *fields) nested() bool {
	for _, v := range f.raw {
		if !bytes.HasPrefix(bytes.TrimSpace(v), []byte("{")) {
			return false
		}
	}
	return len(f.raw) > 0
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

// llama3 reads the members of a "llama3" scaling.
func (f *fields) llama3() *Llama3Scaling {
	l := &Llama3Scaling{
		Factor:               f.real("factor", 0, 1e6),
		LowFreqFactor:        f.real("low_freq_factor", 0, 1e6),
		HighFreqFactor:       f.real("high_freq_factor", 0, 1e6),
		OriginalMaxPositions: f.count("original_max_position_embeddings", 1, maxPositions),
	}
	if f.err == nil && l.HighFreqFactor <= l.LowFreqFactor {
		f.fail("high_freq_factor", "%g is not above low_freq_factor (%g)", l.HighFreqFactor, l.LowFreqFactor)
	}
	return l
}

// longRope reads a "longrope" scaling of dim elements. The original context stands
// beside the section in some files and in it in others; the contexts' ratio gives
// the attention factor, unless the section says either.
func (f *fields) longRope(section *fields, dim, maxPositions int) *LongRope {
	const original = "original_max_position_embeddings"
	l := &LongRope{Short: section.factors("short_factor", dim/2), Long: section.factors("long_factor", dim/2)}
	from := holder(original, f, section)
	if from == nil {
		from = f // to say that it is missing
	}
	l.OriginalMaxPositions = from.count(original, 2, maxPositions)
	f.take(from)
	for _, key := range []string{"short_mscale", "long_mscale"} {
		if section.has(key) {
			section.fail(key, "not supported")
		}
	}
	if section.has("attention_factor") {
		l.Attention = section.real("attention_factor", 0, 1e6)
		return l
	}
	ratio := float64(maxPositions) / float64(max(l.OriginalMaxPositions, 1))
	if from == section && section.has("factor") {
		ratio = section.real("factor", 0, 1e6)
	}
	if l.Attention = 1; ratio > 1 && l.OriginalMaxPositions > 1 {
		l.Attention = math.Sqrt(1 + ln(ratio)/ln(float64(l.OriginalMaxPositions)))
	}
	return l
}

// ln is the natural logarithm, by the series of artanh in a fixed order:
// math.Log's last bit differs between architectures.
func ln(x float64) float64 {
	m, exp := math.Frexp(x) // x = m·2^exp, m in [1/2, 1)
	s := (m - 1) / (m + 1)
	z, sum := float64(s*s), 0.0
	for k := 31; k >= 1; k -= 2 {
		sum = float64(sum*z) + 1/float64(k)
	}
	return float64(float64(2*s)*sum) + float64(float64(exp)*math.Ln2)
}

// factors is a required list of n positive numbers.
func (f *fields) factors(key string, n int) []float64 {
	var items []json.RawMessage
	if !f.require(key) {
		return nil
	}
	if err := json.Unmarshal(f.raw[key], &items); err != nil || len(items) != n {
		f.fail(key, "%s is not a list of %d numbers, one for each pair of rotated elements", f.show(key), n)
		return nil
	}
	list := &fields{file: f.file, prefix: f.prefix}
	out := make([]float64, n)
	for i, item := range items {
		list.raw = map[string]json.RawMessage{key: item}
		out[i] = list.real(key, 0, 1e9)
	}
	f.take(list)
	return out
}
