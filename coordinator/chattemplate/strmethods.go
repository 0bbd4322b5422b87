package chattemplate

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// stringMethods are Python's methods of str that templates use.
var stringMethods map[string]func(s *state, text string, a callArgs) value

func init() {
	stringMethods = map[string]func(s *state, text string, a callArgs) value{
		"strip":      strip("strip", true, true),
		"lstrip":     strip("lstrip", true, false),
		"rstrip":     strip("rstrip", false, true),
		"split":      func(s *state, text string, a callArgs) value { return s.split("split", text, a, splitLeft) },
		"rsplit":     func(s *state, text string, a callArgs) value { return s.split("rsplit", text, a, splitRight) },
		"upper":      plain("upper", upper),
		"lower":      plain("lower", lower),
		"title":      plain("title", titleCase),
		"capitalize": plain("capitalize", capitalize),
		"casefold":   plain("casefold", lower),
		"swapcase":   plain("swapcase", swapCase),
		"isdigit":    predicate("isdigit", unicode.IsDigit),
		"isalpha":    predicate("isalpha", unicode.IsLetter),
		"isalnum": predicate("isalnum", func(r rune) bool {
			return unicode.IsLetter(r) || unicode.IsNumber(r)
		}),
		"isnumeric":    predicate("isnumeric", unicode.IsNumber),
		"isspace":      predicate("isspace", isPySpace),
		"isupper":      func(s *state, text string, a callArgs) value { a.bind("isupper"); return isUpper(text) },
		"islower":      func(s *state, text string, a callArgs) value { a.bind("islower"); return isLower(text) },
		"startswith":   affix("startswith", strings.HasPrefix),
		"endswith":     affix("endswith", strings.HasSuffix),
		"removeprefix": trimAffix("removeprefix", strings.TrimPrefix),
		"removesuffix": trimAffix("removesuffix", strings.TrimSuffix),
		"find":         find("find", strings.Index, false),
		"rfind":        find("rfind", strings.LastIndex, false),
		"index":        find("index", strings.Index, true),
		"rindex":       find("rindex", strings.LastIndex, true),
		"count":        strCount,
		"replace":      strReplace,
		"join":         func(s *state, text string, a callArgs) value { return strJoin(s, text, a.bind("join", "iterable")[0]) },
		"splitlines":   splitLinesMethod,
		"partition":    partition("partition", strings.Index, false),
		"rpartition":   partition("rpartition", strings.LastIndex, true),
		"zfill":        zfill,
		"center":       justify("center", alignCenter),
		"ljust":        justify("ljust", alignLeft),
		"rjust":        justify("rjust", alignRight),
		"format":       func(s *state, text string, a callArgs) value { return s.braceFormat(text, a) },
	}
}

type stringMethod = func(s *state, text string, a callArgs) value

func plain(name string, f func(string) string) stringMethod {
	return func(s *state, text string, a callArgs) value {
		a.bind(name)
		s.spend(2 * len(text))
		return f(text)
	}
}

func predicate(name string, is func(rune) bool) stringMethod {
	return func(s *state, text string, a callArgs) value {
		a.bind(name)
		s.steps(len(text) / 16)
		return text != "" && strings.IndexFunc(text, func(r rune) bool { return !is(r) }) < 0
	}
}

// strip takes white space, or any of the given characters, off the ends.
func strip(name string, left, right bool) stringMethod {
	return func(s *state, text string, a callArgs) value {
		in := isPySpace
		if chars := or(a.bind(name, "chars?")[0], nil); chars != nil {
			set := s.strArg(name, chars)
			s.steps(len(set))
			in = func(r rune) bool { return strings.ContainsRune(set, r) }
		}
		s.steps(len(text) / 16)
		if left {
			text = strings.TrimLeftFunc(text, in)
		}
		if right {
			text = strings.TrimRightFunc(text, in)
		}
		return text
	}
}

// window is text[start:end] by characters, as the optional arguments of many
// methods have it, and how many characters are before it.
func (s *state) window(fn, text string, start, end value) (string, int64, bool) {
	if start == missing && end == missing {
		return text, 0, true
	}
	n := int64(utf8.RuneCountInString(text))
	s.steps(len(text) / 16)
	bound := func(v value, def int64) int64 {
		if v == missing || v == nil {
			return def
		}
		i := s.intArg(fn, v, def)
		if i < 0 {
			i = max(i+n, 0)
		}
		return i
	}
	from, to := bound(start, 0), min(bound(end, n), n)
	if from > to {
		return "", from, false
	}
	runes := []rune(text)
	return string(runes[from:to]), from, true
}

func affix(name string, has func(text, affix string) bool) stringMethod {
	return func(s *state, text string, a callArgs) value {
		args := a.bind(name, "affix", "start?", "end?")
		text, _, ok := s.window(name, text, args[1], args[2])
		if !ok {
			return false
		}
		if t, isTuple := args[0].(*tuple); isTuple {
			for _, item := range t.items {
				if s.step(); has(text, s.strArg(name, item)) {
					return true
				}
			}
			return false
		}
		return has(text, s.strArg(name, args[0]))
	}
}

func trimAffix(name string, trim func(text, affix string) string) stringMethod {
	return func(s *state, text string, a callArgs) value {
		return trim(text, s.strArg(name, a.bind(name, "affix")[0]))
	}
}

// find gives a position in characters, -1 or an error where there is none.
func find(name string, index func(s, sub string) int, must bool) stringMethod {
	return func(s *state, text string, a callArgs) value {
		args := a.bind(name, "sub", "start?", "end?")
		sub := s.strArg(name, args[0])
		text, from, ok := s.window(name, text, args[1], args[2])
		s.steps(len(text) / 16)
		if i := index(text, sub); ok && i >= 0 {
			return from + int64(utf8.RuneCountInString(text[:i]))
		}
		if must {
			failf("substring not found")
		}
		return int64(-1)
	}
}

func strCount(s *state, text string, a callArgs) value {
	args := a.bind("count", "sub", "start?", "end?")
	sub := s.strArg("count", args[0])
	text, _, ok := s.window("count", text, args[1], args[2])
	s.steps(len(text) / 16)
	if !ok {
		return int64(0)
	}
	return int64(strings.Count(text, sub))
}

func strReplace(s *state, text string, a callArgs) value {
	args := a.bind("replace", "old", "new", "count?")
	return s.replace(text, s.strArg("replace", args[0]), s.strArg("replace", args[1]), s.intArg("replace", args[2], -1))
}

// replace pays before it makes: n replacements may make much of little.
func (s *state) replace(text, old, new string, count int64) string {
	s.steps(len(text) / 16)
	n := int64(strings.Count(text, old))
	if count >= 0 {
		n = min(n, count)
	}
	s.spendTimes(n, len(new))
	s.spend(len(text))
	return strings.Replace(text, old, new, int(n))
}

func strJoin(s *state, sep string, v value) value {
	items := s.iterate(v)
	parts := make([]string, len(items))
	for i, item := range items {
		text, ok := item.(string)
		if !ok {
			failf("sequence item %d: expected str instance, %s found", i, typeName(item))
		}
		parts[i] = text
	}
	return s.joined(parts, sep)
}

func (s *state) joined(parts []string, sep string) string {
	s.spendTimes(int64(len(parts)), len(sep))
	for _, p := range parts {
		s.spend(len(p) + 16)
	}
	return strings.Join(parts, sep)
}

func partition(name string, index func(s, sub string) int, right bool) stringMethod {
	return func(s *state, text string, a callArgs) value {
		sep := s.strArg(name, a.bind(name, "sep")[0])
		if sep == "" {
			failf("empty separator")
		}
		s.steps(len(text) / 16)
		i := index(text, sep)
		switch {
		case i >= 0:
			return &tuple{items: []value{text[:i], sep, text[i+len(sep):]}}
		case right:
			return &tuple{items: []value{"", "", text}}
		}
		return &tuple{items: []value{text, "", ""}}
	}
}
