package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// graphemeJoiner is what x/text puts between marks where more than 30 follow one
// another (the Stream-Safe Text Format). The library that vocabularies are made
// with does not.
const graphemeJoiner = "\u034F"

// formString is form.String without added joiners.
func formString(form norm.Form, s string) string {
	out := form.String(s)
	if strings.Count(out, graphemeJoiner) <= strings.Count(s, graphemeJoiner) {
		return out
	}
	return normalizeByDefinition(form, s)
}

// mark is a character of decomposed text with its combining class.
type mark struct {
	r   rune
	ccc uint8
}

// normalizeByDefinition follows the Unicode standard, chapter 3.11, for texts with
// heaps of marks.
func normalizeByDefinition(form norm.Form, s string) string {
	decompose := norm.NFD
	if form == norm.NFKC || form == norm.NFKD {
		decompose = norm.NFKD
	}
	var marks []mark
	for i, r := range s {
		d := decompose.PropertiesString(s[i:]).Decomposition()
		if d == nil || isFrozen(r) {
			d = []byte(s[i : i+utf8.RuneLen(r)])
		}
		if hangul := 0xAC00 <= r && r <= 0xD7A3; hangul { // its decomposition is arithmetic
			d = []byte(decompose.String(string(r)))
		}
		for _, r := range string(d) {
			marks = append(marks, mark{r, norm.NFD.PropertiesString(string(r)).CCC()})
		}
	}
	for i := 0; i < len(marks); i++ {
		from := i
		for i < len(marks) && marks[i].ccc != 0 {
			i++
		}
		slices.SortStableFunc(marks[from:i], func(a, b mark) int { return int(a.ccc) - int(b.ccc) })
	}
	if form == norm.NFC || form == norm.NFKC {
		marks = compose(marks)
	}
	var b strings.Builder
	for _, m := range marks {
		b.WriteRune(m.r)
	}
	return b.String()
}

// compose joins each character with the last starter before it, unless another of
// at least its class stands between.
func compose(marks []mark) []mark {
	out := marks[:0]
	starter := -1 // its place in out
	for _, m := range marks {
		between := starter >= 0 && starter < len(out)-1
		blocked := starter < 0 || between && (out[len(out)-1].ccc >= m.ccc || out[len(out)-1].ccc == 0)
		if !blocked {
			if r, ok := composed(out[starter].r, m.r); ok {
				out[starter].r = r
				continue
			}
		}
		if m.ccc == 0 {
			starter = len(out)
		}
		out = append(out, m)
	}
	return out
}

func composed(a, b rune) (rune, bool) {
	pair := norm.NFC.String(string(a) + string(b))
	r, n := utf8.DecodeRuneInString(pair)
	return r, n == len(pair) && !isFrozen(r)
}
