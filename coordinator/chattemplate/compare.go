package chattemplate

import (
	"math/big"
	"strings"
)

// equal is Python's ==: numbers of all kinds compare, everything else only with its
// like.
func (s *state) equal(a, b value) bool {
	s.step()
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		return ok && x == y
	case nil:
		return b == nil
	case *undefined:
		_, ok := b.(*undefined)
		return ok
	case *list:
		y, ok := b.(*list)
		return ok && s.equalItems(x.items, y.items)
	case *tuple:
		y, ok := b.(*tuple)
		return ok && s.equalItems(x.items, y.items)
	case *dict:
		y, ok := b.(*dict)
		if !ok || len(x.keys) != len(y.keys) {
			return false
		}
		defer s.enter()()
		for i, key := range x.keys {
			if v, ok := y.get(key); !ok || !s.equal(x.values[i], v) {
				return false
			}
		}
		return true
	case pyRange:
		y, ok := b.(pyRange)
		return ok && x.len() == y.len() && (x.len() == 0 || x.start == y.start && (x.len() == 1 || x.step == y.step))
	case *dictView:
		y, ok := b.(*dictView)
		return ok && x.kind == y.kind && (x == y || x.kind != "values" && s.equal(x.d, y.d))
	}
	if c, ok := compareNumbers(a, b); ok {
		return c == 0
	}
	return a == b // the rest are pointers
}

func (s *state) equalItems(a, b []value) bool {
	defer s.enter()()
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !s.equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// unordered is the result of comparing with NaN.
const unordered = 2

// compareNumbers orders two numbers; ok is false where one is none.
func compareNumbers(a, b value) (c int, ok bool) {
	i, aInt := asInt(a)
	j, bInt := asInt(b)
	if aInt && bInt {
		switch {
		case i < j:
			return -1, true
		case i > j:
			return 1, true
		}
		return 0, true
	}
	if x, ok := a.(*big.Int); ok {
		if y, ok := b.(*big.Int); ok {
			return x.Cmp(y), true
		}
	}
	x, aNum := asFloat(a)
	y, bNum := asFloat(b)
	switch {
	case !aNum || !bNum:
		return 0, false
	case x < y:
		return -1, true
	case x > y:
		return 1, true
	case x == y:
		return 0, true
	}
	return unordered, true
}

// compare orders two values for < and its kin, or fails.
func (s *state) compare(op string, a, b value) int {
	s.step()
	s.defined(a)
	s.defined(b)
	if c, ok := compareNumbers(a, b); ok {
		return c
	}
	var x, y []value
	switch v := a.(type) {
	case string:
		if w, ok := b.(string); ok {
			return strings.Compare(v, w)
		}
	case *list:
		if w, ok := b.(*list); ok {
			x, y = v.items, w.items
		}
	case *tuple:
		if w, ok := b.(*tuple); ok {
			x, y = v.items, w.items
		}
	}
	if x == nil && y == nil && (typeName(a) != typeName(b) || typeName(a) != "list" && typeName(a) != "tuple") {
		failf("'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
	}
	defer s.enter()()
	for i := range min(len(x), len(y)) {
		if !s.equal(x[i], y[i]) {
			return s.compare(op, x[i], y[i])
		}
	}
	c, _ := compareNumbers(int64(len(x)), int64(len(y)))
	return c
}

// less is for sorting.
func (s *state) less(a, b value) bool { return s.compare("<", a, b) == -1 }

// contains is Python's needle in hay.
func (s *state) contains(hay, needle value) bool {
	switch h := hay.(type) {
	case string:
		n, ok := needle.(string)
		if !ok {
			s.defined(needle)
			failf("'in <string>' requires string as left operand, not %s", typeName(needle))
		}
		s.steps(len(h) / 16)
		return strings.Contains(h, n)
	case *dict:
		s.hashable(needle)
		_, ok := h.get(needle)
		return ok
	case *dictView:
		if h.kind == "keys" {
			_, ok := h.d.get(needle)
			return ok
		}
	case nil, bool, int64, float64, *big.Int, *namespace, *macro, *function:
		failf("argument of type '%s' is not iterable", typeName(hay))
	}
	for _, item := range s.iterate(hay) {
		if s.equal(item, needle) {
			return true
		}
	}
	return false
}

func (s *state) hashable(v value) {
	if _, ok := hashKey(v); !ok {
		s.defined(v)
		failf("unhashable type: '%s'", typeName(v))
	}
}
