package chattemplate

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// upper and lower map as Unicode's full tables say: ß becomes SS.
func upper(s string) string {
	if isASCII(s) {
		return strings.ToUpper(s)
	}
	return cases.Upper(language.Und).String(s)
}

func lower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return cases.Lower(language.Und, cases.HandleFinalSigma(true)).String(s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// splitFirst cuts the first character off.
func splitFirst(s string) (first, rest string) {
	_, n := utf8.DecodeRuneInString(s)
	return s[:n], s[n:]
}

func titleFirst(first string) string {
	r, n := utf8.DecodeRuneInString(first)
	if n == 0 {
		return ""
	}
	if t := unicode.ToTitle(r); t != r {
		return string(t)
	}
	return capitalizeSpecial(first)
}

// capitalizeSpecial is for characters whose title case is more than one, like ß.
func capitalizeSpecial(first string) string {
	u := upper(first)
	if u == first {
		return first
	}
	head, tail := splitFirst(u)
	return head + lower(tail)
}

// capitalize is str.capitalize.
func capitalize(s string) string {
	first, rest := splitFirst(s)
	return titleFirst(first) + lower(rest)
}

// titleCase is str.title: every run of letters begins a word, after an apostrophe too.
func titleCase(s string) string {
	var b strings.Builder
	inWord := false
	for _, r := range s {
		switch {
		case !isCased(r):
			inWord = false
			b.WriteRune(r)
		case inWord:
			b.WriteString(lower(string(r)))
		default:
			inWord = true
			b.WriteString(titleFirst(string(r)))
		}
	}
	return b.String()
}

func isCased(r rune) bool {
	return unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r)
}

func swapCase(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsUpper(r) {
			b.WriteString(lower(string(r)))
		} else {
			b.WriteString(upper(string(r)))
		}
	}
	return b.String()
}

// isUpper and isLower want at least one letter with a case, and no other case.
func isUpper(s string) bool {
	return strings.ContainsFunc(s, unicode.IsUpper) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsLower(r) || unicode.IsTitle(r)
	})
}

func isLower(s string) bool {
	return strings.ContainsFunc(s, unicode.IsLower) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsUpper(r) || unicode.IsTitle(r)
	})
}
