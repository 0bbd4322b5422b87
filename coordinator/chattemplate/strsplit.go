package chattemplate

import "strings"

// split is str.split and str.rsplit: by white space, or by a separator, at most
// maxsplit times.
func (s *state) split(name, text string, a callArgs, cut func(text, sep string, n int) []string) value {
	args := a.bind(name, "sep?", "maxsplit?")
	n := int(s.intArg(name, args[1], -1))
	s.spend(len(text))
	var parts []string
	if sep := or(args[0], nil); sep != nil {
		by := s.strArg(name, sep)
		if by == "" {
			failf("empty separator")
		}
		s.spendTimes(int64(strings.Count(text, by)), 32)
		parts = cut(text, by, n)
	} else if name == "split" {
		parts = fieldsLeft(text, n)
	} else {
		parts = fieldsRight(text, n)
	}
	return s.strings(parts)
}

func (s *state) strings(parts []string) *list {
	s.spend(32 * len(parts))
	items := make([]value, len(parts))
	for i, p := range parts {
		items[i] = p
	}
	return &list{items}
}

func splitLeft(text, sep string, n int) []string {
	if n < 0 {
		return strings.Split(text, sep)
	}
	return strings.SplitN(text, sep, n+1)
}

func splitRight(text, sep string, n int) []string {
	if n < 0 {
		return strings.Split(text, sep)
	}
	var parts []string // the last first
	for ; n > 0; n-- {
		i := strings.LastIndex(text, sep)
		if i < 0 {
			break
		}
		parts = append(parts, text[i+len(sep):])
		text = text[:i]
	}
	return reversed(append(parts, text))
}

func reversed(parts []string) []string {
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts
}

// fieldsLeft splits at runs of white space; what is left after n splits keeps its
// white space but for that in front.
func fieldsLeft(text string, n int) []string {
	if n < 0 {
		return strings.FieldsFunc(text, isPySpace)
	}
	var parts []string
	for {
		text = strings.TrimLeftFunc(text, isPySpace)
		if text == "" {
			return parts
		}
		i := strings.IndexFunc(text, isPySpace)
		if n == 0 {
			return append(parts, text)
		}
		if i < 0 {
			return append(parts, text)
		}
		parts = append(parts, text[:i])
		text = text[i:]
		n--
	}
}

func fieldsRight(text string, n int) []string {
	if n < 0 {
		return strings.FieldsFunc(text, isPySpace)
	}
	var parts []string
	for {
		text = trimSpaceRight(text)
		if text == "" {
			return reversed(parts)
		}
		i := strings.LastIndexFunc(text, isPySpace)
		if n == 0 || i < 0 {
			return reversed(append(parts, text))
		}
		tail := text[i:]
		parts = append(parts, tail[spaceLen(tail):])
		text = text[:i]
		n--
	}
}

// lineEnds are the characters that end a line for str.splitlines.
const lineEnds = "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029"

func splitLines(text string, keep bool) []string {
	var lines []string
	for text != "" {
		i := strings.IndexAny(text, lineEnds)
		if i < 0 {
			return append(lines, text)
		}
		end := i + 1
		switch {
		case strings.HasPrefix(text[i:], "\r\n"), strings.HasPrefix(text[i:], "\u0085"):
			end = i + 2
		case text[i] == 0xE2:
			end = i + 3
		}
		line := text[:i]
		if keep {
			line = text[:end]
		}
		lines = append(lines, line)
		text = text[end:]
	}
	return lines
}

func splitLinesMethod(s *state, text string, a callArgs) value {
	keep := truthy(or(a.bind("splitlines", "keepends?")[0], false))
	s.spend(len(text))
	return s.strings(splitLines(text, keep))
}
