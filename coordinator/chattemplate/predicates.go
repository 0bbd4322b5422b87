package chattemplate

import "math/big"

// test is what {% if v is name(args) %} calls.
type test func(s *state, v value, a callArgs) bool

var tests map[string]test

func init() {
	tests = map[string]test{
		"defined":   is(func(v value) bool { return typeName(v) != "Undefined" }),
		"undefined": is(func(v value) bool { return typeName(v) == "Undefined" }),
		"none":      is(func(v value) bool { return v == nil }),
		"boolean":   is(func(v value) bool { return typeName(v) == "bool" }),
		"true":      is(func(v value) bool { return v == true }),
		"false":     is(func(v value) bool { return v == false }),
		"integer":   is(func(v value) bool { return typeName(v) == "int" }),
		"float":     is(func(v value) bool { return typeName(v) == "float" }),
		"number":    is(func(v value) bool { _, ok := asFloat(v); return ok }),
		"string":    is(func(v value) bool { return typeName(v) == "str" }),
		"mapping":   is(func(v value) bool { return typeName(v) == "dict" }),
		"sequence":  is(isSequence),
		"iterable":  is(isIterable),
		"callable":  is(isCallable),
		"escaped":   is(func(value) bool { return false }),
		"lower":     func(s *state, v value, a callArgs) bool { a.bind("lower"); return isLower(s.str(v)) },
		"upper":     func(s *state, v value, a callArgs) bool { a.bind("upper"); return isUpper(s.str(v)) },
		"odd": func(s *state, v value, a callArgs) bool {
			a.bind("odd")
			return s.equal(s.remainder(v, int64(2)), int64(1))
		},
		"even": func(s *state, v value, a callArgs) bool {
			a.bind("even")
			return s.equal(s.remainder(v, int64(2)), int64(0))
		},
		"divisibleby": func(s *state, v value, a callArgs) bool {
			return s.equal(s.remainder(v, a.bind("divisibleby", "num")[0]), int64(0))
		},
		"sameas": func(s *state, v value, a callArgs) bool { return sameAs(v, a.bind("sameas", "other")[0]) },
		"in":     func(s *state, v value, a callArgs) bool { return s.contains(a.bind("in", "seq")[0], v) },
		"filter": func(s *state, v value, a callArgs) bool { name, _ := v.(string); return filters[name] != nil },
		"test":   func(s *state, v value, a callArgs) bool { name, _ := v.(string); return tests[name] != nil },
	}
	for op, names := range map[string][]string{
		"==": {"eq", "equalto"}, "!=": {"ne"}, "<": {"lt", "lessthan"}, "<=": {"le"}, ">": {"gt", "greaterthan"}, ">=": {"ge"},
	} {
		for _, name := range append(names, op) {
			tests[name] = func(s *state, v value, a callArgs) bool {
				return s.holds(op, v, a.bind(name, "other")[0])
			}
		}
	}
}

func is(f func(v value) bool) test {
	return func(s *state, v value, a callArgs) bool {
		a.bind("test")
		return f(v)
	}
}

func (s *state) remainder(v, by value) value {
	if _, ok := v.(string); ok {
		failf("not all arguments converted during string formatting")
	}
	return s.arith("%", v, by)
}

func isSequence(v value) bool {
	switch v.(type) {
	case string, *list, *tuple, *dict, pyRange, *undefined:
		return true
	}
	return false
}

func isIterable(v value) bool {
	switch v.(type) {
	case *dictView, *generator, *loop:
		return true
	}
	return isSequence(v)
}

func isCallable(v value) bool {
	switch v.(type) {
	case *function, *macro, *undefined:
		return true
	}
	return false
}

// sameAs is Python's is, as far as values here have an identity.
func sameAs(a, b value) bool {
	switch x := a.(type) {
	case *big.Int, float64, pyRange:
		return false
	case *undefined:
		return a == b
	case string:
		return x == b
	}
	return a == b
}
