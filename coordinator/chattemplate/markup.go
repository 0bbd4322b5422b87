package chattemplate

import "strings"

// markup is what |safe and |escape give: a str that escapes what is added to it
// with +. Everything else that is done to it takes it as the plain string it is,
// and Jinja without autoescape prints it as such.
type markup string

// unmarked is v, as a plain string if it is markup.
func unmarked(v value) value {
	if m, ok := v.(markup); ok {
		return string(m)
	}
	return v
}

var htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;")

func (s *state) escaped(v value) markup {
	if m, ok := v.(markup); ok {
		return m
	}
	text := s.str(v)
	s.spend(6 * len(text))
	return markup(htmlEscapes.Replace(text))
}

// addMarkup is + where one side is markup.
func (s *state) addMarkup(a, b value) (value, bool) {
	_, aMarked := a.(markup)
	_, bMarked := b.(markup)
	if !aMarked && !bMarked {
		return nil, false
	}
	for _, v := range []value{a, b} {
		if _, ok := unmarked(v).(string); !ok {
			failf("unsupported operand type(s) for +: '%s' and '%s'", typeName(a), typeName(b))
		}
	}
	x, y := s.escaped(a), s.escaped(b)
	s.spend(len(x) + len(y))
	return x + y, true
}

func safeFilter(s *state, v value, a callArgs) value {
	a.bind("safe")
	return markup(s.str(v))
}

func escapeFilter(s *state, v value, a callArgs) value {
	a.bind("escape")
	return s.escaped(v)
}

func forceEscapeFilter(s *state, v value, a callArgs) value {
	a.bind("forceescape")
	return s.escaped(s.str(v))
}
