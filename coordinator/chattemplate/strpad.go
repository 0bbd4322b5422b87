package chattemplate

import (
	"strings"
	"unicode/utf8"
)

type alignment uint8

const (
	alignLeft alignment = iota
	alignRight
	alignCenter
)

// pad fills text up to width characters.
func (s *state) pad(text string, width int64, fill string, align alignment) string {
	missing := width - int64(utf8.RuneCountInString(text))
	if missing <= 0 {
		return text
	}
	s.spendTimes(missing, len(fill))
	s.spend(len(text))
	left, right := missing, int64(0)
	switch align {
	case alignLeft:
		left, right = 0, missing
	case alignCenter: // Python gives the odd one to the left if the width is odd
		left = missing/2 + (missing & width & 1)
		right = missing - left
	}
	return strings.Repeat(fill, int(left)) + text + strings.Repeat(fill, int(right))
}

func justify(name string, align alignment) stringMethod {
	return func(s *state, text string, a callArgs) value {
		args := a.bind(name, "width", "fillchar?")
		fill := s.strArg(name, or(args[1], " "))
		if utf8.RuneCountInString(fill) != 1 {
			failf("the fill character must be exactly one character long")
		}
		return s.pad(text, s.intArg(name, args[0], 0), fill, align)
	}
}

func zfill(s *state, text string, a callArgs) value {
	width := s.intArg("zfill", a.bind("zfill", "width")[0], 0)
	sign := ""
	if text != "" && (text[0] == '-' || text[0] == '+') {
		sign, text = text[:1], text[1:]
		width--
	}
	return sign + s.pad(text, width, "0", alignRight)
}
