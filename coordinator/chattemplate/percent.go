package chattemplate

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// percentFormat is Python's text % v.
func (s *state) percentFormat(text string, v value) string {
	args := []value{v}
	if t, ok := v.(*tuple); ok {
		args = t.items
	}
	named, _ := v.(*dict)
	used := 0
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			break
		}
		b.WriteString(text[:i])
		d, rest := parseDirective(text[i+1:])
		text = rest
		if d.verb == '%' {
			b.WriteByte('%')
			continue
		}
		var arg value
		switch {
		case d.named && named == nil:
			failf("format requires a mapping")
		case d.named:
			var ok bool
			if arg, ok = named.get(d.key); !ok {
				failf("format: no key %s", strRepr(d.key))
			}
		case used == len(args):
			failf("not enough arguments for format string")
		default:
			arg = args[used]
			used++
		}
		out := s.formatDirective(d, arg)
		s.spend(len(out))
		b.WriteString(out)
	}
	if used < len(args) && named == nil {
		if _, ok := v.(*undefined); !ok || used == 0 {
			failf("not all arguments converted during string formatting")
		}
	}
	b.WriteString(text)
	s.spend(b.Len())
	return b.String()
}

// percentDirective is %(key)-08.3f taken apart.
type percentDirective struct {
	named     bool
	key       string
	flags     string
	width     int64
	precision int // -1: none
	verb      byte
}

// maxPad bounds widths and precisions, which are free to write and dear to print.
const maxPad = 10_000

func parseDirective(text string) (percentDirective, string) {
	d := percentDirective{precision: -1}
	if strings.HasPrefix(text, "(") {
		end := strings.IndexByte(text, ')')
		if end < 0 {
			failf("incomplete format key")
		}
		d.named, d.key, text = true, text[1:end], text[end+1:]
	}
	n := len(text) - len(strings.TrimLeft(text, "-+ 0#"))
	d.flags, text = text[:n], text[n:]
	number := func() int64 {
		n := digitsLen(text, "0123456789")
		i, err := strconv.ParseInt(text[:n], 10, 32)
		if err != nil && n > 0 || i > maxPad {
			failf("format: width or precision is too large")
		}
		text = text[n:]
		return i
	}
	d.width = number()
	if strings.HasPrefix(text, ".") {
		text = text[1:]
		d.precision = int(number())
	}
	if text == "" {
		failf("incomplete format")
	}
	d.verb = text[0]
	return d, text[1:]
}

func (s *state) formatDirective(d percentDirective, v value) string {
	text, number := "", true
	switch d.verb {
	case 's', 'r', 'a':
		number = false
		if text = s.str(v); d.verb != 's' {
			text = s.repr(v)
		}
		if d.precision >= 0 {
			text = firstRunes(text, d.precision)
		}
	case 'c':
		number = false
		i, ok := asInt(v)
		if one, isStr := v.(string); isStr && utf8.RuneCountInString(one) == 1 {
			text = one
		} else if ok && utf8.ValidRune(rune(i)) && int64(rune(i)) == i {
			text = string(rune(i))
		} else {
			failf("%%c requires int or char")
		}
	case 'd', 'i', 'u':
		if f, ok := v.(float64); ok {
			v, _ = floatToInt(f)
		}
		i, ok := asInt(v)
		if !ok {
			s.defined(v)
			failf("%%%c format: a real number is required, not %s", d.verb, typeName(v))
		}
		text = strconv.FormatInt(i, 10)
	case 'x', 'X', 'o':
		i, ok := asInt(v)
		if !ok {
			failf("%%%c format: an integer is required, not %s", d.verb, typeName(v))
		}
		text = fmt.Sprintf("%"+hashFlag(d.flags)+string(d.verb), i)
		if d.verb == 'o' && hashFlag(d.flags) != "" {
			text = strings.Replace(text, "0", "0o", 1)
		}
	case 'f', 'F', 'e', 'E', 'g', 'G':
		f, ok := asFloat(v)
		if !ok {
			s.defined(v)
			failf("must be real number, not %s", typeName(v))
		}
		text = formatFloat(f, d.verb, d.precision)
	default:
		failf("unsupported format character %q", string(d.verb))
	}
	if !number {
		d.flags = strings.ReplaceAll(d.flags, "0", "")
	} else if !strings.HasPrefix(text, "-") {
		if strings.Contains(d.flags, "+") {
			text = "+" + text
		} else if strings.Contains(d.flags, " ") {
			text = " " + text
		}
	}
	switch {
	case strings.Contains(d.flags, "-"):
		return s.pad(text, d.width, " ", alignLeft)
	case strings.Contains(d.flags, "0"):
		sign := len(text) - len(strings.TrimLeft(text, "+- "))
		return text[:sign] + s.pad(text[sign:], d.width-int64(sign), "0", alignRight)
	}
	return s.pad(text, d.width, " ", alignRight)
}

func hashFlag(flags string) string {
	if strings.Contains(flags, "#") {
		return "#"
	}
	return ""
}

func firstRunes(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}

// formatFloat is C's %f, %e and %g.
func formatFloat(f float64, verb byte, precision int) string {
	if precision < 0 {
		precision = 6
	}
	if verb == 'F' {
		verb = 'f'
	}
	if verb == 'g' && precision == 0 || verb == 'G' && precision == 0 {
		precision = 1
	}
	text := fmt.Sprintf("%.*"+string(verb), precision, f)
	return strings.Replace(strings.Replace(text, "+Inf", "inf", 1), "NaN", "nan", 1)
}
