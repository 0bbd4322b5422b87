package chattemplate

import (
	"math/big"
	"strings"
	"unicode/utf8"
)

// filter is what {{ v | name(args) }} calls.
type filter func(s *state, v value, a callArgs) value

// filters are Jinja's but for those that make web pages (urlize, xmlattr,
// striptags, ...), that are random, or that only Python can print (pprint).
var filters map[string]filter

func init() {
	filters = map[string]filter{
		"abs": absFilter, "attr": attrFilter, "batch": batchFilter, "capitalize": textFilter("capitalize", capitalize),
		"center": centerFilter, "count": lengthFilter, "d": defaultFilter, "default": defaultFilter,
		"dictsort": dictsortFilter, "e": escapeFilter, "escape": escapeFilter, "first": firstFilter,
		"float": floatFilter, "forceescape": forceEscapeFilter, "format": formatFilter, "groupby": groupbyFilter,
		"indent": indentFilter, "int": intFilter, "items": itemsFilter, "join": joinFilter, "last": lastFilter,
		"length": lengthFilter, "list": listFilter, "lower": textFilter("lower", lower), "map": mapFilter,
		"max": extremeFilter("max", 1), "min": extremeFilter("min", -1), "reject": selectFilter("reject", false, false),
		"rejectattr": selectFilter("rejectattr", false, true), "replace": replaceFilter, "reverse": reverseFilter,
		"round": roundFilter, "safe": safeFilter, "select": selectFilter("select", true, false),
		"selectattr": selectFilter("selectattr", true, true), "slice": sliceFilter, "sort": sortFilter,
		"string": stringFilter, "sum": sumFilter, "title": textFilter("title", titleFilter), "tojson": toJSON,
		"trim": trimFilter, "truncate": truncateFilter, "unique": uniqueFilter, "upper": textFilter("upper", upper),
		"wordcount": wordcountFilter,
	}
}

func textFilter(name string, f func(string) string) filter {
	return func(s *state, v value, a callArgs) value {
		a.bind(name)
		text := s.str(v)
		s.spend(2 * len(text))
		return f(text)
	}
}

// titleFilter begins words behind white space, hyphens and opening brackets, which
// is not what str.title does.
func titleFilter(text string) string {
	var b strings.Builder
	start := true
	for _, r := range text {
		switch {
		case isPySpace(r) || strings.ContainsRune("-({[<", r):
			start = true
			b.WriteRune(r)
		case start:
			start = false
			b.WriteString(upper(string(r)))
		default:
			b.WriteString(lower(string(r)))
		}
	}
	return b.String()
}

func trimFilter(s *state, v value, a callArgs) value {
	return strip("trim", true, true)(s, s.str(v), a)
}

func replaceFilter(s *state, v value, a callArgs) value {
	args := a.bind("replace", "old", "new", "count?")
	count := int64(-1)
	if n := or(args[2], nil); n != nil {
		count = s.intArg("replace", n, -1)
	}
	return s.replace(s.str(v), s.str(args[0]), s.str(args[1]), count)
}

func stringFilter(s *state, v value, a callArgs) value {
	a.bind("string")
	if m, ok := v.(markup); ok {
		return m
	}
	return s.str(v)
}

func centerFilter(s *state, v value, a callArgs) value {
	width := s.intArg("center", a.bind("center", "width?")[0], 80)
	return s.pad(s.str(v), width, " ", alignCenter)
}

func indentFilter(s *state, v value, a callArgs) value {
	args := a.bind("indent", "width?", "first?", "blank?")
	text, ok := v.(string)
	if !ok {
		s.defined(v)
		failf("indent: want a string, have %s", typeName(v))
	}
	indent, ok := or(args[0], int64(4)).(string)
	if !ok {
		width := max(s.intArg("indent", args[0], 4), 0)
		s.spendTimes(width, 1)
		indent = strings.Repeat(" ", int(width))
	}
	blank := truthy(or(args[2], false))
	lines := splitLines(text+"\n", false)
	s.spendTimes(int64(len(lines)), len(indent)+16)
	s.spend(2 * len(text))
	for i, line := range lines {
		if i > 0 && (line != "" || blank) || i == 0 && truthy(or(args[1], false)) {
			lines[i] = indent + line
		}
	}
	return strings.Join(lines, "\n")
}

func truncateFilter(s *state, v value, a callArgs) value {
	args := a.bind("truncate", "length?", "killwords?", "end?", "leeway?")
	text := s.strArg("truncate", v)
	length := s.intArg("truncate", args[0], 255)
	end := s.strArg("truncate", or(args[2], "..."))
	leeway := int64(5)
	if l := or(args[3], nil); l != nil {
		leeway = s.intArg("truncate", l, 5)
	}
	keep := length - int64(utf8.RuneCountInString(end))
	if keep < 0 || leeway < 0 {
		failf("truncate: expected length >= %d and leeway >= 0", utf8.RuneCountInString(end))
	}
	s.spend(4 * len(text))
	runes := []rune(text)
	if int64(len(runes)) <= length+leeway {
		return text
	}
	head := string(runes[:keep])
	if i := strings.LastIndexByte(head, ' '); i >= 0 && !truthy(or(args[1], false)) {
		head = head[:i]
	}
	return head + end
}

func wordcountFilter(s *state, v value, a callArgs) value {
	a.bind("wordcount")
	text := s.str(v)
	s.spend(len(text))
	return int64(len(strings.FieldsFunc(text, func(r rune) bool {
		return r != '_' && nameLen(string(r)) == 0
	})))
}

func formatFilter(s *state, v value, a callArgs) value {
	if len(a.pos) > 0 && len(a.kw) > 0 {
		failf("format: can't handle positional and keyword arguments at the same time")
	}
	if len(a.kw) > 0 {
		return s.percentFormat(s.str(v), dictFrom(s, "format", a))
	}
	return s.percentFormat(s.str(v), &tuple{items: a.pos})
}

func defaultFilter(s *state, v value, a callArgs) value {
	args := a.bind("default", "default_value?", "boolean?")
	if _, undef := v.(*undefined); undef || truthy(or(args[1], false)) && !truthy(v) {
		return or(args[0], "")
	}
	return v
}

func attrFilter(s *state, v value, a callArgs) value {
	name := s.strArg("attr", a.bind("attr", "name")[0])
	s.defined(v)
	if m, ok := s.method(v, name); ok {
		return m
	}
	return noAttr(v, name)
}

func lengthFilter(s *state, v value, a callArgs) value {
	a.bind("length")
	n, ok := length(v)
	if !ok {
		failf("object of type '%s' has no len()", typeName(v))
	}
	if text, ok := v.(string); ok {
		s.steps(len(text) / 64)
	}
	return n
}

// length is Python's len(v).
func length(v value) (int64, bool) {
	switch v := v.(type) {
	case string:
		return int64(utf8.RuneCountInString(v)), true
	case *list:
		return int64(len(v.items)), true
	case *tuple:
		return int64(len(v.items)), true
	case *dict:
		return int64(len(v.keys)), true
	case *dictView:
		return int64(len(v.d.keys)), true
	case pyRange:
		return v.len(), true
	case *loop:
		return int64(v.length()), true
	case *undefined:
		return 0, true
	}
	return 0, false
}

func absFilter(s *state, v value, a callArgs) value {
	a.bind("abs")
	s.defined(v)
	if i, ok := asInt(v); ok {
		return checkedInt(max(i, -i), i != -i || i == 0)
	}
	if i, ok := v.(*big.Int); ok {
		return new(big.Int).Abs(i)
	}
	f, ok := v.(float64)
	if !ok {
		failf("bad operand type for abs(): '%s'", typeName(v))
	}
	return max(f, -f)
}
