package chattemplate

import (
	"slices"
	"strconv"
	"strings"
)

// getter makes the function that filters with an attribute apply to items: "a.b.0"
// goes through attributes and elements. def, unless nil, replaces what is undefined.
func (s *state) getter(attribute, def value) func(value) value {
	if attribute = or(attribute, nil); attribute == nil {
		return func(v value) value { return v }
	}
	parts := []value{attribute}
	if path, ok := attribute.(string); ok {
		parts = nil
		for part := range strings.SplitSeq(path, ".") {
			if n, err := strconv.ParseInt(part, 10, 64); err == nil && isDigit(part[0]) {
				parts = append(parts, n)
			} else {
				parts = append(parts, part)
			}
		}
	}
	return func(v value) value {
		for _, part := range parts {
			v = s.index(v, part)
			if _, undef := v.(*undefined); undef && def != nil {
				v = def
			}
		}
		return v
	}
}

// foldCase is for filters that sort and compare without regard to case.
func foldCase(v value) value {
	if text, ok := v.(string); ok {
		return lower(text)
	}
	return v
}

// keyed applies a getter, and foldCase unless case matters.
func (s *state) keyed(attribute, caseSensitive, def value) func(value) value {
	get := s.getter(attribute, def)
	if truthy(or(caseSensitive, false)) {
		return get
	}
	return func(v value) value { return foldCase(get(v)) }
}

// collect copies the items of v, and pays for them.
func (s *state) collect(v value) []value {
	items := s.iterate(v)
	s.spend(16 * len(items))
	return slices.Clone(items)
}

func listFilter(s *state, v value, a callArgs) value {
	a.bind("list")
	return &list{s.collect(v)}
}

func itemsFilter(s *state, v value, a callArgs) value {
	a.bind("items")
	switch v := v.(type) {
	case *undefined:
		return &generator{name: "generator"}
	case *dict:
		s.spend(64 * len(v.keys))
		return &generator{"generator", v.pairs()}
	}
	failf("Can only get item pairs from a mapping.")
	return nil
}

func firstFilter(s *state, v value, a callArgs) value {
	a.bind("first")
	if g, ok := v.(*generator); ok && len(g.items) > 0 {
		first := g.items[0]
		g.items = g.items[1:]
		return first
	}
	if items := s.iterate(v); len(items) > 0 {
		return items[0]
	}
	return &undefined{"No first item, sequence was empty."}
}

func lastFilter(s *state, v value, a callArgs) value {
	a.bind("last")
	if g, ok := v.(*generator); ok {
		failf("'%s' object is not reversible", g.name)
	}
	if items := s.iterate(v); len(items) > 0 {
		return items[len(items)-1]
	}
	return &undefined{"No last item, sequence was empty."}
}

func joinFilter(s *state, v value, a callArgs) value {
	args := a.bind("join", "d?", "attribute?")
	get := s.getter(args[1], nil)
	var parts []string
	for _, item := range s.iterate(v) {
		s.step()
		parts = append(parts, s.str(get(item)))
	}
	return s.joined(parts, s.str(or(args[0], "")))
}

func reverseFilter(s *state, v value, a callArgs) value {
	a.bind("reverse")
	if text, ok := v.(string); ok {
		s.spend(4 * len(text))
		runes := []rune(text)
		slices.Reverse(runes)
		return string(runes)
	}
	items := s.collect(v)
	slices.Reverse(items)
	if g, ok := v.(*generator); ok && g.name == "generator" {
		return &list{items}
	}
	return &generator{typeName(v) + "_reverseiterator", items}
}

func dictsortFilter(s *state, v value, a callArgs) value {
	args := a.bind("dictsort", "case_sensitive?", "by?", "reverse?")
	d, ok := v.(*dict)
	if !ok {
		s.defined(v)
		failf("'%s' object has no attribute 'items'", typeName(v))
	}
	at := map[value]int{"key": 0, "value": 1}
	pos, ok := at[or(args[1], "key")]
	if !ok {
		failf("You can only sort by either \"key\" or \"value\"")
	}
	key := s.keyed(int64(pos), args[0], nil)
	s.spend(64 * len(d.keys))
	return &list{s.sorted(d.pairs(), key, truthy(or(args[2], false)))}
}

func sortFilter(s *state, v value, a callArgs) value {
	args := a.bind("sort", "reverse?", "case_sensitive?", "attribute?")
	var keys []func(value) value
	if path, ok := args[2].(string); ok {
		for part := range strings.SplitSeq(path, ",") {
			keys = append(keys, s.keyed(part, args[1], nil))
		}
	} else {
		keys = append(keys, s.keyed(args[2], args[1], nil))
	}
	key := keys[0]
	if len(keys) > 1 {
		key = func(v value) value {
			parts := make([]value, len(keys))
			for i, k := range keys {
				parts[i] = k(v)
			}
			return &list{parts}
		}
	}
	return &list{s.sorted(s.collect(v), key, truthy(or(args[0], false)))}
}

// sorted sorts items, which are the caller's own, keeping the order of equals.
func (s *state) sorted(items []value, key func(value) value, reverse bool) []value {
	keys := make([]value, len(items))
	order := make([]int, len(items))
	for i, item := range items {
		keys[i], order[i] = key(item), i
	}
	s.spend(32 * len(items))
	slices.SortStableFunc(order, func(i, j int) int {
		if reverse {
			i, j = j, i
		}
		switch {
		case s.less(keys[i], keys[j]):
			return -1
		case s.less(keys[j], keys[i]):
			return 1
		}
		return 0
	})
	out := make([]value, len(items))
	for n, i := range order {
		out[n] = items[i]
	}
	return out
}

func uniqueFilter(s *state, v value, a callArgs) value {
	args := a.bind("unique", "case_sensitive?", "attribute?")
	key := s.keyed(args[1], args[0], nil)
	seen := newDict()
	g := &generator{name: "generator"}
	for _, item := range s.iterate(v) {
		s.spend(32)
		k := key(item)
		s.hashable(k)
		if _, ok := seen.get(k); !ok {
			seen.set(k, true)
			g.items = append(g.items, item)
		}
	}
	return g
}

// extremeFilter is min (-1) and max (1).
func extremeFilter(name string, sign int) filter {
	return func(s *state, v value, a callArgs) value {
		args := a.bind(name, "case_sensitive?", "attribute?")
		key := s.keyed(args[1], args[0], nil)
		items := s.iterate(v)
		if len(items) == 0 {
			return &undefined{"No aggregated item, sequence was empty."}
		}
		best, bestKey := items[0], key(items[0])
		for _, item := range items[1:] {
			if k := key(item); s.compare("<", k, bestKey) == sign {
				best, bestKey = item, k
			}
		}
		return best
	}
}
