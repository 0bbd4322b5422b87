package grammar

// charWriter adds one character of some ranges to an automaton, in the form in which
// the text has it: as UTF-8, or as it stands inside a JSON string.
type charWriter func(n *nfa, from int32, ranges []runeRange) int32

// rawChar writes a character as UTF-8.
func rawChar(n *nfa, from int32, ranges []runeRange) int32 { return n.class(from, ranges) }

// jsonEscaped are the characters that a JSON string can't hold as they are.
var jsonEscaped = []runeRange{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}

// jsonChar writes a character in one fixed JSON form: as it is, or by the shortest
// escape where it must be escaped. One form only, so that languages of contents can be
// intersected and subtracted.
func jsonChar(n *nfa, from int32, ranges []runeRange) int32 {
	to := n.class(from, except(ranges, jsonEscaped))
	for _, e := range jsonEscaped {
		for c := e.lo; c <= e.hi; c++ {
			if contains(ranges, c) {
				n.empty(n.text(from, jsonEscape(c)), to)
			}
		}
	}
	return to
}

// jsonEscape is the escape of a character that needs one.
func jsonEscape(c rune) string {
	switch c {
	case '"', '\\':
		return `\` + string(c)
	case '\b':
		return `\b`
	case '\f':
		return `\f`
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	const hex = "0123456789abcdef"
	return `\u00` + string(hex[c>>4]) + string(hex[c&15])
}

// jsonContent is a text as jsonChar writes it: what stands between the quotes.
func jsonContent(s string) string {
	out := make([]byte, 0, len(s)+2)
	for _, c := range s {
		if contains(jsonEscaped, c) {
			out = append(out, jsonEscape(c)...)
		} else {
			out = append(out, string(c)...)
		}
	}
	return string(out)
}
