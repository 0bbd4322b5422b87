package chattemplate

import (
	"strings"
	"unicode/utf8"
)

// iterate returns the items of anything that a for loop accepts. The slice is not
// to be changed.
func (s *state) iterate(v value) []value {
	s.step()
	switch v := unmarked(v).(type) {
	case *list:
		return v.items
	case *tuple:
		return v.items
	case *dict:
		return v.keys
	case *dictView:
		s.spend(64 * len(v.d.keys))
		return v.items()
	case *generator:
		return v.take()
	case *undefined:
		return nil
	case string:
		s.spend(32 * len(v))
		items := make([]value, 0, len(v))
		for _, r := range v {
			items = append(items, string(r))
		}
		return items
	case pyRange:
		s.spendTimes(v.len(), 16)
		items := make([]value, 0, v.len())
		for i := range v.len() {
			items = append(items, v.start+i*v.step)
		}
		return items
	}
	failf("'%s' object is not iterable", typeName(v))
	return nil
}

// mutators would change a value in place; Jinja's immutable sandbox refuses them.
var mutators = map[string]map[string]bool{
	"dict": {"clear": true, "pop": true, "popitem": true, "setdefault": true, "update": true},
	"list": {"append": true, "clear": true, "extend": true, "insert": true, "pop": true, "remove": true,
		"reverse": true, "sort": true},
}

func describeObject(v value) string {
	if v == nil {
		return "None"
	}
	return typeName(v) + " object"
}

func noAttr(v value, name string) *undefined {
	return &undefined{"'" + describeObject(v) + "' has no attribute '" + name + "'"}
}

// attr is v.name: what v can do, then what it has.
func (s *state) attr(v value, name string) value {
	s.step()
	s.defined(v)
	if a, ok := s.method(v, name); ok {
		return a
	}
	if d, ok := v.(*dict); ok {
		if item, ok := d.get(name); ok {
			return item
		}
	}
	return noAttr(v, name)
}

// method looks up what a type offers by name. Names that begin with an underscore
// are Python's own business.
func (s *state) method(v value, name string) (value, bool) {
	typ := typeName(v)
	if strings.HasPrefix(name, "__") || mutators[typ][name] {
		if d, ok := v.(*dict); ok && !mutators[typ][name] {
			if _, ok := d.get(name); ok {
				return nil, false
			}
		}
		return &undefined{"access to attribute '" + name + "' of '" + typ + "' object is unsafe"}, true
	}
	bind := func(f func(s *state, a callArgs) value) (value, bool) { return &function{name, f}, true }
	switch v := v.(type) {
	case string:
		if m, ok := stringMethods[name]; ok {
			return bind(func(s *state, a callArgs) value { return m(s, v, a) })
		}
	case *dict:
		if m, ok := dictMethods[name]; ok {
			return bind(func(s *state, a callArgs) value { return m(s, v, a) })
		}
	case *list:
		if m, ok := sequenceMethods[name]; ok {
			return bind(func(s *state, a callArgs) value { return m(s, v.items, a) })
		}
		if name == "copy" {
			return bind(func(s *state, a callArgs) value { return v })
		}
	case *tuple:
		for i, n := range v.names {
			if n == name {
				return v.items[i], true
			}
		}
		if m, ok := sequenceMethods[name]; ok {
			return bind(func(s *state, a callArgs) value { return m(s, v.items, a) })
		}
	case *namespace:
		return v.attrs.get(name)
	case *loop:
		return v.attr(name)
	case *macro:
		return v.attr(name)
	}
	return nil, false
}

// index is v[i]: what v has, then, for a name, what it can do.
func (s *state) index(v, i value) value {
	s.step()
	s.defined(v)
	n, isInt := asInt(i)
	switch v := v.(type) {
	case *list:
		if isInt {
			return itemAt(v, v.items, n)
		}
	case *tuple:
		if isInt {
			return itemAt(v, v.items, n)
		}
	case string:
		if isInt {
			return s.charAt(v, n)
		}
	case pyRange:
		if isInt {
			if n < 0 {
				n += v.len()
			}
			if n >= 0 && n < v.len() {
				return v.start + n*v.step
			}
			return noElement(v, i)
		}
	case *dict:
		if item, ok := v.get(i); ok {
			return item
		}
	}
	if name, ok := i.(string); ok {
		if a, ok := s.method(v, name); ok {
			return a
		}
		return noAttr(v, name)
	}
	return noElement(v, i)
}

func noElement(v, i value) *undefined {
	text := typeName(i)
	switch i.(type) {
	case int64, bool, float64, nil:
		text = (&state{limits: DefaultLimits, stepsLeft: 1000, bytesLeft: 1000}).repr(i)
	}
	return &undefined{"'" + describeObject(v) + "' has no element " + text}
}

func itemAt(v value, items []value, n int64) value {
	at := n
	if at < 0 {
		at += int64(len(items))
	}
	if at < 0 || at >= int64(len(items)) {
		return noElement(v, n)
	}
	return items[at]
}

// charAt counts characters, not bytes.
func (s *state) charAt(text string, n int64) value {
	s.steps(len(text) / 64)
	if n < 0 {
		n += int64(utf8.RuneCountInString(text))
	}
	if n >= 0 {
		for _, r := range text {
			if n == 0 {
				return string(r)
			}
			n--
		}
	}
	return &undefined{"'str object' has no such element"}
}
