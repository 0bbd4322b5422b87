package chattemplate

import "strings"

// bind puts arguments in the order of params. A name that ends in "?" may be left
// out, and is missing then.
func (a callArgs) bind(fn string, params ...string) []value {
	out := make([]value, len(params))
	names := make([]string, len(params))
	for i, p := range params {
		out[i] = missing
		names[i] = strings.TrimSuffix(p, "?")
	}
	if len(a.pos) > len(params) {
		failf("%s() takes at most %d argument(s), got %d", fn, len(params), len(a.pos))
	}
	copy(out, a.pos)
next:
	for _, kw := range a.kw {
		for i, n := range names {
			if n != kw.name {
				continue
			}
			if out[i] != missing {
				failf("%s() got multiple values for argument '%s'", fn, n)
			}
			out[i] = kw.value
			continue next
		}
		failf("%s() got an unexpected keyword argument '%s'", fn, kw.name)
	}
	for i, p := range params {
		if out[i] == missing && !strings.HasSuffix(p, "?") {
			failf("%s() missing required argument: '%s'", fn, p)
		}
	}
	return out
}

// or is v, or def where the argument was left out.
func or(v, def value) value {
	if v == missing {
		return def
	}
	return v
}

// intArg is an argument that has to be an int.
func (s *state) intArg(fn string, v value, def int64) int64 {
	if v == missing {
		return def
	}
	i, ok := asInt(v)
	if !ok {
		s.defined(v)
		failf("%s(): '%s' object cannot be interpreted as an integer", fn, typeName(v))
	}
	return i
}

// strArg is an argument that has to be a string.
func (s *state) strArg(fn string, v value) string {
	text, ok := v.(string)
	if !ok {
		s.defined(v)
		failf("%s() argument must be str, not %s", fn, typeName(v))
	}
	return text
}
