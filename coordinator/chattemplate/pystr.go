package chattemplate

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

// str is Python's str(v): what {{ v }} prints.
func (s *state) str(v value) string {
	switch v := v.(type) {
	case string:
		return v
	case markup:
		return string(v)
	case *undefined:
		return ""
	}
	return s.repr(v)
}

// repr is Python's repr(v): how v prints inside a list.
func (s *state) repr(v value) string {
	var b strings.Builder
	s.writeRepr(&b, v, 0)
	return b.String()
}

func (s *state) writeRepr(b *strings.Builder, v value, depth int) {
	if depth > s.limits.Depth {
		failf("value nests more than %d deep", s.limits.Depth)
	}
	from := b.Len()
	all := func(open, end string, items []value) {
		b.WriteString(open)
		for i, item := range items {
			if i > 0 {
				b.WriteString(", ")
			}
			s.writeRepr(b, item, depth+1)
		}
		b.WriteString(end)
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case *big.Int:
		b.WriteString(v.String())
	case float64:
		b.WriteString(floatRepr(v))
	case string:
		b.WriteString(strRepr(v))
	case *undefined:
		b.WriteString("Undefined")
	case *list:
		all("[", "]", v.items)
	case *tuple:
		if len(v.items) == 1 {
			all("(", ",)", v.items)
		} else {
			all("(", ")", v.items)
		}
	case *dict:
		s.writeDict(b, v, depth)
	case *dictView:
		all("dict_"+v.kind+"([", "])", v.items())
	case pyRange:
		fmt.Fprintf(b, "range(%d, %d", v.start, v.stop)
		if v.step != 1 {
			fmt.Fprintf(b, ", %d", v.step)
		}
		b.WriteByte(')')
	case *namespace:
		b.WriteString("<Namespace ")
		s.writeDict(b, v.attrs, depth)
		b.WriteByte('>')
	case *macro:
		fmt.Fprintf(b, "<Macro %s>", strRepr(v.def.name))
	case *loop:
		fmt.Fprintf(b, "<LoopContext %d/%d>", v.index0+1, v.length())
	default:
		fmt.Fprintf(b, "<%s object>", typeName(v))
	}
	s.spend(b.Len() - from)
}

func (s *state) writeDict(b *strings.Builder, d *dict, depth int) {
	b.WriteByte('{')
	for i, key := range d.keys {
		if i > 0 {
			b.WriteString(", ")
		}
		s.writeRepr(b, key, depth+1)
		b.WriteString(": ")
		s.writeRepr(b, d.values[i], depth+1)
	}
	b.WriteByte('}')
}

// floatRepr is the shortest text that reads back as f, with an exponent only for
// the very large and the very small.
func floatRepr(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	sci := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(sci, "e")
	if e, _ := strconv.Atoi(exponent); e < -4 || e >= 16 {
		return mantissa + "e" + exponent
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// strRepr quotes with ' unless that needs escaping and " does not.
func strRepr(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	var b strings.Builder
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte(quote)
	return b.String()
}
