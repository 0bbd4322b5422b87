package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Ids depend on the version of Unicode. The library that vocabularies are made
// with normalizes by Unicode 12.0 and classifies characters by Unicode 16.0; Go
// has 15.0 for both. The tables below make up the difference, which was found by
// comparing every code point.

// letters16 and numbers16 are \p{L} and \p{N} that came after 15.0.
var letters16 = rangeTable(
	[]unicode.Range16{{0x1C89, 0x1C8A, 1}, {0xA7CB, 0xA7CD, 1}, {0xA7DA, 0xA7DC, 1}},
	[]unicode.Range32{
		{0x105C0, 0x105F3, 1}, {0x10D4A, 0x10D65, 1}, {0x10D6F, 0x10D85, 1}, {0x10EC2, 0x10EC4, 1},
		{0x11380, 0x11389, 1}, {0x1138B, 0x1138B, 1}, {0x1138E, 0x1138E, 1}, {0x11390, 0x113B5, 1},
		{0x113B7, 0x113B7, 1}, {0x113D1, 0x113D1, 1}, {0x113D3, 0x113D3, 1}, {0x11BC0, 0x11BE0, 1},
		{0x13460, 0x143FA, 1}, {0x16100, 0x1611D, 1}, {0x16D40, 0x16D6C, 1}, {0x18CFF, 0x18CFF, 1},
		{0x1E5D0, 0x1E5ED, 1}, {0x1E5F0, 0x1E5F0, 1}, {0x2EBF0, 0x2EE5D, 1},
	})

var numbers16 = rangeTable(nil, []unicode.Range32{
	{0x10D40, 0x10D49, 1}, {0x116D0, 0x116E3, 1}, {0x11BF0, 0x11BF9, 1}, {0x16130, 0x16139, 1},
	{0x16D70, 0x16D79, 1}, {0x1CCF0, 0x1CCF9, 1}, {0x1E5F1, 0x1E5FA, 1},
})

// frozen are the characters that got a decomposition after 12.0: they stay as they
// are. U+32FF, the era Reiwa, is the one that a text may well have.
var frozen = rangeTable(
	[]unicode.Range16{{0x32FF, 0x32FF, 1}, {0xA7F1, 0xA7F4, 1}, {0xAB69, 0xAB69, 1}},
	[]unicode.Range32{
		{0x105C9, 0x105C9, 1}, {0x105E4, 0x105E4, 1}, {0x10781, 0x107BA, 1}, {0x11383, 0x11391, 1},
		{0x113C5, 0x113C8, 1}, {0x11938, 0x11938, 1}, {0x16121, 0x16128, 1}, {0x16D68, 0x16D6A, 1},
		{0x1CCD6, 0x1CCF9, 1}, {0x1E030, 0x1E06D, 1}, {0x1F16C, 0x1F16C, 1}, {0x1FBF0, 0x1FBF9, 1},
	})

func rangeTable(r16 []unicode.Range16, r32 []unicode.Range32) *unicode.RangeTable {
	return &unicode.RangeTable{R16: r16, R32: r32}
}

func isLetter(r rune) bool { return unicode.IsLetter(r) || unicode.Is(letters16, r) }
func isNumber(r rune) bool { return unicode.IsNumber(r) || unicode.Is(numbers16, r) }

// normalForm is form by Unicode 12.0.
func normalForm(form norm.Form) normalizer {
	return func(s string) string {
		done := form.QuickSpanString(s)
		if done == len(s) { // most text: normal already
			return s
		}
		if strings.IndexFunc(s[done:], isFrozen) < 0 {
			return formString(form, s)
		}
		var b strings.Builder
		from := 0
		for i, r := range s {
			if !isFrozen(r) {
				continue
			}
			b.WriteString(formString(form, s[from:i]))
			b.WriteRune(r)
			from = i + utf8.RuneLen(r)
		}
		b.WriteString(formString(form, s[from:]))
		return b.String()
	}
}

func isFrozen(r rune) bool { return r >= 0x32FF && !isHangulOrHan(r) && unicode.Is(frozen, r) }

// isHangulOrHan spares the table for what normalized text is mostly made of here.
func isHangulOrHan(r rune) bool { return 0x3400 <= r && r < 0xA7F1 || 0xAC00 <= r && r < 0xD800 }
