package tokenizer

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// joinStage is what happens without a decoder: tokens with spaces between.
type joinStage struct{ some bool }

func (j *joinStage) push(token string, emit func(string)) {
	if j.some {
		token = " " + token
	}
	j.some = true
	emit(token)
}
func (*joinStage) flush(func(string))         {}
func (*joinStage) middle(token string) string { return token }

// fuseStage makes one token of all. In a stream that is nothing but a mark: the
// stages behind it know that what they get are parts of one token.
type fuseStage struct{}

func (fuseStage) push(token string, emit func(string)) { emit(token) }
func (fuseStage) flush(func(string))                   {}
func (fuseStage) middle(token string) string           { return token }

type replaceStage struct{ r *strings.Replacer }

func (s replaceStage) push(token string, emit func(string)) { emit(s.r.Replace(token)) }
func (replaceStage) flush(func(string))                     {}
func (s replaceStage) middle(token string) string           { return s.r.Replace(token) }

// metaspaceStage turns marks back into spaces, but for those of the first token,
// which encoding put there.
type metaspaceStage struct {
	mark      string
	dropFirst bool
	some      bool
}

func (s *metaspaceStage) push(token string, emit func(string)) {
	space := " "
	if !s.some && s.dropFirst {
		space = ""
	}
	s.some = true
	emit(strings.ReplaceAll(token, s.mark, space))
}
func (*metaspaceStage) flush(func(string))           {}
func (s *metaspaceStage) middle(token string) string { return strings.ReplaceAll(token, s.mark, " ") }

// fallbackStage joins <0xEA> and its like into characters. A run of them that is
// not UTF-8 as a whole becomes one U+FFFD per byte, as the library has it, so
// nothing of a run can go out before its end.
type fallbackStage struct{ run []byte }

func (s *fallbackStage) push(token string, emit func(string)) {
	if b, ok := fallbackByte(token); ok {
		s.run = append(s.run, b)
		return
	}
	s.flush(emit)
	emit(token)
}

func (s *fallbackStage) flush(emit func(string)) {
	switch {
	case len(s.run) == 0:
		return
	case utf8.Valid(s.run):
		emit(string(s.run))
	default:
		emit(strings.Repeat("\uFFFD", len(s.run)))
	}
	s.run = s.run[:0]
}

func (*fallbackStage) middle(token string) string {
	if b, ok := fallbackByte(token); ok {
		return string([]byte{b})
	}
	return token
}

func fallbackByte(token string) (byte, bool) {
	if len(token) != 6 || token[:3] != "<0x" || token[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(b), err == nil
}

// stripStage takes characters off the ends of every token, or, behind a Fuse
// (fused), off the start of the whole text.
type stripStage struct {
	char        rune
	start, stop int
	fused       bool
	left        int // fused: how many may still go
}

func parseStrip(n node, fused bool) (func() stage, error) {
	o := struct {
		Type    string
		Content string `json:"content"`
		Start   int    `json:"start"`
		Stop    int    `json:"stop"`
	}{}
	if err := n.strict(&o); err != nil {
		return nil, err
	}
	char, size := utf8.DecodeRuneInString(o.Content)
	switch {
	case size == 0 || size != len(o.Content):
		return nil, n.key("content", nil).errorf("want one character, have %q", o.Content)
	case o.Start < 0 || o.Stop < 0:
		return nil, n.errorf("start and stop must not be negative")
	case fused && o.Stop > 0:
		return nil, n.key("stop", nil).errorf("%d behind Fuse is not supported", o.Stop)
	}
	return func() stage {
		return &stripStage{char: char, start: o.Start, stop: o.Stop, fused: fused, left: o.Start}
	}, nil
}

func (s *stripStage) push(token string, emit func(string)) {
	if !s.fused {
		emit(s.middle(token))
		return
	}
	for s.left > 0 && token != "" {
		r, size := utf8.DecodeRuneInString(token)
		if r != s.char {
			s.left = 0
			break
		}
		token = token[size:]
		s.left--
	}
	emit(token)
}

func (*stripStage) flush(func(string)) {}

func (s *stripStage) middle(token string) string {
	if s.fused {
		return token
	}
	char := string(s.char)
	for range s.start {
		rest, ok := strings.CutPrefix(token, char)
		if !ok {
			break
		}
		token = rest
	}
	for range s.stop {
		rest, ok := strings.CutSuffix(token, char)
		if !ok {
			break
		}
		token = rest
	}
	return token
}
