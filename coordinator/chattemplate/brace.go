package chattemplate

import (
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// braceFormat is Python's text.format(...): {}, {0}, {name}, {x.attr[key]!r:spec}.
// A specification may not hold further braces.
func (s *state) braceFormat(text string, a callArgs) string {
	var b strings.Builder
	next := int64(0)
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c != '{' && c != '}':
			j := strings.IndexAny(text[i:], "{}")
			if j < 0 {
				j = len(text) - i
			}
			b.WriteString(text[i : i+j])
			i += j
		case strings.HasPrefix(text[i+1:], string(c)):
			b.WriteByte(c)
			i += 2
		case c == '}':
			failf("single '}' encountered in format string")
		default:
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				failf("expected '}' before end of string")
			}
			out := s.formatField(text[i+1:i+end], a, &next)
			s.spend(len(out))
			b.WriteString(out)
			i += end + 1
		}
	}
	s.spend(b.Len())
	return b.String()
}

func (s *state) formatField(field string, a callArgs, next *int64) string {
	if strings.ContainsRune(field, '{') {
		failf("format: braces within a field are not supported")
	}
	field, spec, _ := strings.Cut(field, ":")
	field, conversion, converted := strings.Cut(field, "!")
	v := s.fieldValue(field, a, next)
	if converted {
		switch conversion {
		case "r", "a":
			v = s.repr(v)
		case "s":
			v = s.str(v)
		default:
			failf("unknown conversion specifier %q", conversion)
		}
	}
	return s.formatSpec(v, spec)
}

// fieldValue finds what "0.name[key]" speaks of.
func (s *state) fieldValue(field string, a callArgs, next *int64) value {
	n := strings.IndexAny(field, ".[")
	if n < 0 {
		n = len(field)
	}
	v := s.fieldArgument(field[:n], a, next)
	for field = field[n:]; field != ""; {
		s.step()
		if field[0] == '[' {
			key, rest, ok := strings.Cut(field[1:], "]")
			if !ok {
				failf("missing ']' in format string")
			}
			if i, err := strconv.ParseInt(key, 10, 64); err == nil {
				v = s.index(v, i)
			} else {
				v = s.index(v, key)
			}
			field = rest
			continue
		}
		n := strings.IndexAny(field[1:], ".[")
		if n < 0 {
			n = len(field) - 1
		}
		v = s.attr(v, field[1:n+1])
		field = field[n+1:]
	}
	return v
}

func (s *state) fieldArgument(name string, a callArgs, next *int64) value {
	i, err := strconv.ParseInt(name, 10, 64)
	if name == "" {
		i, err = *next, nil
		*next++
	}
	if err == nil {
		if i < 0 || i >= int64(len(a.pos)) {
			failf("replacement index %d out of range for positional args tuple", i)
		}
		return a.pos[i]
	}
	for _, kw := range a.kw {
		if kw.name == name {
			return kw.value
		}
	}
	failf("format: no argument %s", strRepr(name))
	return nil
}

// formatSpec applies [[fill]align][sign][0][width][,][.precision][type].
func (s *state) formatSpec(v value, spec string) string {
	if spec == "" {
		return s.str(v)
	}
	whole := spec
	fill, align := "", byte(0)
	if _, n := utf8.DecodeRuneInString(spec); len(spec) > n && strings.IndexByte("<>^=", spec[n]) >= 0 {
		fill, align, spec = spec[:n], spec[n], spec[n+1:]
	} else if strings.IndexByte("<>^=", spec[0]) >= 0 {
		align, spec = spec[0], spec[1:]
	}
	sign := byte('-')
	if spec != "" && strings.IndexByte("+- ", spec[0]) >= 0 {
		sign, spec = spec[0], spec[1:]
	}
	if strings.HasPrefix(spec, "0") && align == 0 {
		fill, align = "0", '='
	}
	d, comma := percentDirective{precision: -1}, false
	n := digitsLen(spec, "0123456789")
	width, rest := spec[:n], spec[n:]
	if strings.HasPrefix(rest, ",") {
		comma, rest = true, rest[1:]
	}
	if rest == "" || isDigit(rest[len(rest)-1]) {
		rest += "?"
	}
	d, left := parseDirective(width + rest)
	if left != "" || d.flags != "" && d.flags != "0" || d.named {
		failf("invalid format specifier %q", whole)
	}
	text, number := s.formatAs(v, d, comma)
	if number && sign != '-' && !strings.HasPrefix(text, "-") {
		text = string(sign) + text
	}
	if fill == "" {
		fill = " "
	}
	if align == 0 && number {
		align = '>'
	}
	switch align {
	case '>':
		return s.pad(text, d.width, fill, alignRight)
	case '^': // unlike str.center, the odd one goes right
		left := (d.width - int64(utf8.RuneCountInString(text))) / 2
		return s.pad(s.pad(text, d.width-left, fill, alignLeft), d.width, fill, alignRight)
	case '=':
		n := len(text) - len(strings.TrimLeft(text, "+- "))
		return text[:n] + s.pad(text[n:], d.width-int64(n), fill, alignRight)
	}
	return s.pad(text, d.width, fill, alignLeft)
}

func (s *state) formatAs(v value, d percentDirective, comma bool) (text string, number bool) {
	i, isInt := asInt(v)
	f, isFloat := asFloat(v)
	_, big := v.(*big.Int)
	switch {
	case strings.IndexByte("fFeEgG", d.verb) >= 0 && isFloat:
		text = formatFloat(f, d.verb, d.precision)
	case d.verb == '%' && isFloat:
		text = formatFloat(f*100, 'f', d.precision) + "%"
	case (d.verb == '?' || d.verb == 'd') && isInt && d.precision < 0:
		text = strconv.FormatInt(i, 10)
	case strings.IndexByte("xXob", d.verb) >= 0 && isInt && d.precision < 0:
		text = strconv.FormatInt(i, map[byte]int{'x': 16, 'X': 16, 'o': 8, 'b': 2}[d.verb])
		if d.verb == 'X' {
			text = strings.ToUpper(text)
		}
	case d.verb == '?' && isFloat && !isInt && !big && typeName(v) == "float":
		if d.precision >= 0 {
			failf("format: a precision without a type is not supported for floats")
		}
		text = floatRepr(f)
	case d.verb == '?' || d.verb == 's':
		if _, ok := v.(string); !ok && !big {
			failf("unsupported format string passed to %s.__format__", typeName(v))
		}
		text = s.str(v)
		if d.precision >= 0 {
			text = firstRunes(text, d.precision)
		}
		return text, false
	default:
		failf("unknown format code %q for object of type '%s'", string(d.verb), typeName(v))
	}
	if comma {
		text = groupThousands(text)
	}
	return text, true
}

func groupThousands(text string) string {
	start := 0
	if strings.HasPrefix(text, "-") {
		start = 1
	}
	end := start + digitsLen(text[start:], "0123456789")
	var b strings.Builder
	b.WriteString(text[:start])
	for i := start; i < end; i++ {
		if i > start && (end-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(text[i])
	}
	b.WriteString(text[end:])
	return b.String()
}
