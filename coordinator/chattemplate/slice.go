package chattemplate

// slice is v[from:to:step].
func (s *state) slice(v, from, to, step value) value {
	s.step()
	s.defined(v)
	bound := func(v value) (int64, bool) {
		if v == nil {
			return 0, false
		}
		n, ok := asInt(v)
		if !ok {
			s.defined(v)
			failf("slice indices must be integers or None")
		}
		return n, true
	}
	by, ok := bound(step)
	if !ok {
		by = 1
	}
	if by == 0 {
		failf("slice step cannot be zero")
	}
	pick := func(n int) []int {
		lo, hasLo := bound(from)
		hi, hasHi := bound(to)
		r := sliceRange(int64(n), lo, hasLo, hi, hasHi, by)
		picked := make([]int, 0, r.len())
		for i := range r.len() {
			picked = append(picked, int(r.start+i*r.step))
		}
		s.spend(16 * len(picked))
		return picked
	}
	items := func(all []value) []value {
		out := []value{}
		for _, i := range pick(len(all)) {
			out = append(out, all[i])
		}
		return out
	}
	switch v := v.(type) {
	case *list:
		return &list{items(v.items)}
	case *tuple:
		return &tuple{items: items(v.items)}
	case string:
		s.spend(4 * len(v))
		runes := []rune(v)
		out := make([]rune, 0, len(runes))
		for _, i := range pick(len(runes)) {
			out = append(out, runes[i])
		}
		return string(out)
	case pyRange:
		lo, hasLo := bound(from)
		hi, hasHi := bound(to)
		r := sliceRange(v.len(), lo, hasLo, hi, hasHi, by)
		return pyRange{v.start + r.start*v.step, v.start + r.stop*v.step, v.step * r.step}
	}
	failf("'%s' object cannot be sliced", typeName(v))
	return nil
}

// sliceRange are the indices of a slice of n items: Python's rules for what is
// left out, negative or out of range.
func sliceRange(n, lo int64, hasLo bool, hi int64, hasHi bool, step int64) pyRange {
	first, last := int64(0), n // where a step forward may begin and end
	if step < 0 {
		first, last = -1, n-1
	}
	clamp := func(i int64) int64 {
		if i < 0 {
			i += n
		}
		return min(max(i, first), last)
	}
	r := pyRange{start: first, stop: last, step: step}
	if step < 0 {
		r.start, r.stop = last, first
	}
	if hasLo {
		r.start = clamp(lo)
	}
	if hasHi {
		r.stop = clamp(hi)
	}
	return r
}
