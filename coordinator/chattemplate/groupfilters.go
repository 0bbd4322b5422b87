package chattemplate

import "slices"

// mapFilter applies a filter by name, or looks an attribute up.
func mapFilter(s *state, v value, a callArgs) value {
	var apply func(value) value
	if len(a.pos) == 0 {
		args := a.bind("map", "attribute", "default?")
		apply = s.getter(args[0], or(args[1], nil))
	} else {
		name := s.strArg("map", a.pos[0])
		f, ok := filters[name]
		if !ok {
			failf("no filter named '%s'", name)
		}
		rest := callArgs{a.pos[1:], a.kw}
		apply = func(v value) value { return f(s, v, rest) }
	}
	g := &generator{name: "generator"}
	if !truthy(v) {
		return g
	}
	defer s.enter()()
	for _, item := range s.iterate(v) {
		s.spend(16)
		s.step()
		g.items = append(g.items, apply(item))
	}
	return g
}

// selectFilter keeps the items (or, byAttr, those with an attribute) that pass a
// test, or that fail it.
func selectFilter(name string, keep, byAttr bool) filter {
	return func(s *state, v value, a callArgs) value {
		g := &generator{name: "generator"}
		if !truthy(v) {
			return g
		}
		get := func(v value) value { return v }
		if byAttr {
			if len(a.pos) == 0 {
				failf("%s: missing parameter for attribute name", name)
			}
			get = s.getter(a.pos[0], nil)
			a.pos = a.pos[1:]
		}
		passes := truthy
		if len(a.pos) > 0 {
			testName := s.strArg(name, a.pos[0])
			t, ok := tests[testName]
			if !ok {
				failf("no test named '%s'", testName)
			}
			rest := callArgs{a.pos[1:], a.kw}
			passes = func(v value) bool { return t(s, v, rest) }
		}
		for _, item := range s.iterate(v) {
			s.spend(16)
			s.step()
			if passes(get(item)) == keep {
				g.items = append(g.items, item)
			}
		}
		return g
	}
}

func groupbyFilter(s *state, v value, a callArgs) value {
	args := a.bind("groupby", "attribute", "default?", "case_sensitive?")
	def := or(args[1], nil)
	key := s.keyed(args[0], args[2], def)
	name := s.getter(args[0], def)
	var groups []value
	var last value
	for _, item := range s.sorted(s.collect(v), key, false) {
		k := key(item)
		if n := len(groups); n > 0 && s.equal(last, k) {
			members := groups[n-1].(*tuple).items[1].(*list)
			members.items = append(members.items, item) // nobody has seen it yet
			continue
		}
		s.spend(64)
		groups = append(groups, &tuple{items: []value{name(item), &list{[]value{item}}}, names: []string{"grouper", "list"}})
		last = k
	}
	return &list{groups}
}

// batchFilter cuts into lists of n items, sliceFilter into n lists.
func batchFilter(s *state, v value, a callArgs) value {
	args := a.bind("batch", "linecount", "fill_with?")
	n, fill := s.intArg("batch", args[0], 0), or(args[1], nil)
	if n < 1 {
		failf("batch: linecount must be positive")
	}
	g := &generator{name: "generator"}
	items := s.collect(v)
	for len(items) > 0 {
		k := min(int(min(n, int64(len(items)))), len(items))
		batch := slices.Clip(items[:k])
		items = items[k:]
		if fill != nil && int64(k) < n {
			s.spendTimes(n, 16)
			for int64(len(batch)) < n {
				batch = append(batch, fill)
			}
		}
		g.items = append(g.items, &list{batch})
	}
	return g
}

func sliceFilter(s *state, v value, a callArgs) value {
	args := a.bind("slice", "slices", "fill_with?")
	n, fill := s.intArg("slice", args[0], 0), or(args[1], nil)
	if n < 1 {
		failf("slice: slices must be positive")
	}
	s.spendTimes(n, 64)
	items := s.collect(v)
	each, extra := int64(len(items))/n, int64(len(items))%n
	g := &generator{name: "generator"}
	for i := range n {
		k := each
		if i < extra {
			k++
		}
		part := slices.Clip(items[:k])
		items = items[k:]
		if fill != nil && i >= extra {
			part = append(part, fill)
		}
		g.items = append(g.items, &list{part})
	}
	return g
}
