package chattemplate

import "math/big"

// value is what templates compute with. Its Go types stand for Python's:
//
//	nil            None           *list        list
//	bool           bool           *tuple       tuple
//	int64          int            *dict        dict
//	*big.Int       a larger int   *dictView    dict.items(), .keys(), .values()
//	float64        float          *generator   what map, select, ... give
//	string         str            pyRange      range
//	markup         Markup, a str that escapes
//	*undefined     Undefined      *namespace, *macro, *loop, *function: themselves
//
// Lists, tuples and dicts never change once they can be seen. Large ints come in
// with JSON and go out with it; there is no arithmetic on them.
type value any

type list struct{ items []value }

// tuple may have names for its items, as the groups of groupby do.
type tuple struct {
	items []value
	names []string
}

// undefined is a name or an attribute that is not there.
type undefined struct{ msg string }

// missing marks an argument that was not given. It is never seen by a template.
type missingArg struct{}

var missing value = missingArg{}

type pyRange struct{ start, stop, step int64 }

func (r pyRange) len() int64 {
	switch {
	case r.step > 0 && r.start < r.stop:
		return (r.stop-r.start-1)/r.step + 1
	case r.step < 0 && r.start > r.stop:
		return (r.start-r.stop-1)/-r.step + 1
	}
	return 0
}

// generator is a one-time sequence: once walked it is empty.
type generator struct {
	name  string
	items []value
}

func (g *generator) take() []value {
	items := g.items
	g.items = nil
	return items
}

type dictView struct {
	kind string // "items", "keys" or "values"
	d    *dict
}

func (v *dictView) items() []value {
	switch v.kind {
	case "keys":
		return v.d.keys
	case "values":
		return v.d.values
	}
	return v.d.pairs()
}

// namespace is the one thing that a template can assign to from an inner scope.
type namespace struct{ attrs *dict }

// function is anything that can be called and is not a macro.
type function struct {
	name string
	call func(s *state, a callArgs) value
}

// typeName is Python's name of v's type.
func typeName(v value) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case string, markup:
		return "str"
	case *list:
		return "list"
	case *tuple:
		return "tuple"
	case *dict:
		return "dict"
	case *dictView:
		return "dict_" + v.kind
	case *generator:
		return v.name
	case pyRange:
		return "range"
	case *undefined:
		return "Undefined"
	case *namespace:
		return "Namespace"
	case *macro:
		return "Macro"
	case *loop:
		return "LoopContext"
	}
	return "function"
}

// normalizeInt makes an int64 of what fits one.
func normalizeInt(i *big.Int) value {
	if i.IsInt64() {
		return i.Int64()
	}
	return i
}

// asInt is v as an index or a count; a bool is an int in Python.
func asInt(v value) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// asFloat is v as a number.
func asFloat(v value) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, true
	}
	i, ok := asInt(v)
	return float64(i), ok
}

// truthy is Python's bool(v).
func truthy(v value) bool {
	switch v := v.(type) {
	case nil, *undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case markup:
		return v != ""
	case *list:
		return len(v.items) > 0
	case *tuple:
		return len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	case *dictView:
		return len(v.d.keys) > 0
	case pyRange:
		return v.len() > 0
	}
	return true
}
