package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// behavior says what becomes of the matches that a splitter finds.
type behavior uint8

const (
	removed behavior = iota
	isolated
	mergedWithPrevious
	mergedWithNext
	contiguous
)

var behaviorNames = map[string]behavior{
	"Removed": removed, "Isolated": isolated, "MergedWithPrevious": mergedWithPrevious,
	"MergedWithNext": mergedWithNext, "Contiguous": contiguous,
}

func (b *behavior) UnmarshalJSON(raw []byte) error {
	var name string
	if err := json.Unmarshal(raw, &name); err != nil {
		return err
	}
	v, ok := behaviorNames[name]
	if !ok {
		return fmt.Errorf("behavior %q is not supported", name)
	}
	*b = v
	return nil
}

// span is a piece of a string; the spans of a split follow one another without gaps.
type span struct {
	start, end int
	match      bool
}

// finder returns the spans of s, matches and what lies between them.
type finder func(s string) ([]span, error)

// splitter cuts at matches of any kind.
type splitter struct {
	find     finder
	behavior behavior
	invert   bool // the text between matches counts as matches, and these do not
}

func (p splitter) split(s string, first bool, emit emit) error {
	spans, err := p.find(s)
	if err != nil {
		return err
	}
	if p.invert {
		for i := range spans {
			spans[i].match = !spans[i].match
		}
	}
	for _, sp := range p.behavior.apply(spans) {
		if sp.start < sp.end {
			emit(s[sp.start:sp.end], first && sp.start == 0)
		}
	}
	return nil
}

// apply joins or drops spans in place.
func (b behavior) apply(spans []span) []span {
	out := spans[:0]
	switch b {
	case isolated:
		return spans
	case removed:
		for _, sp := range spans {
			if !sp.match {
				out = append(out, sp)
			}
		}
	case contiguous:
		for _, sp := range spans {
			if n := len(out); n > 0 && out[n-1].match == sp.match {
				out[n-1].end = sp.end
			} else {
				out = append(out, sp)
			}
		}
	case mergedWithPrevious:
		wasMatch := false
		for _, sp := range spans {
			if n := len(out); n > 0 && sp.match && !wasMatch {
				out[n-1].end = sp.end
			} else {
				out = append(out, sp)
			}
			wasMatch = sp.match
		}
	case mergedWithNext:
		wasMatch := false
		at := len(spans) // spans[at:] is done; it fills from the back
		for i := len(spans) - 1; i >= 0; i-- {
			sp := spans[i]
			if at < len(spans) && sp.match && !wasMatch {
				spans[at].start = sp.start
			} else {
				at--
				spans[at] = sp
			}
			wasMatch = sp.match
		}
		return spans[at:]
	}
	return out
}

// matchRunes makes every rune with a property a match.
func matchRunes(is func(rune) bool) finder {
	return func(s string) ([]span, error) {
		var spans []span
		from := 0
		for i, r := range s {
			if !is(r) {
				continue
			}
			if from < i {
				spans = append(spans, span{from, i, false})
			}
			from = i + utf8.RuneLen(r)
			spans = append(spans, span{i, from, true})
		}
		if from < len(s) {
			spans = append(spans, span{from, len(s), false})
		}
		return spans, nil
	}
}

// matchString makes every occurrence of a string a match.
func matchString(want string) finder {
	return func(s string) ([]span, error) {
		var spans []span
		from := 0
		for from < len(s) {
			i := strings.Index(s[from:], want)
			if i < 0 {
				break
			}
			if i > 0 {
				spans = append(spans, span{from, from + i, false})
			}
			spans = append(spans, span{from + i, from + i + len(want), true})
			from += i + len(want)
		}
		if from < len(s) {
			spans = append(spans, span{from, len(s), false})
		}
		return spans, nil
	}
}

func isSpace(r rune) bool { return unicode.IsSpace(r) }

// isPunctuation counts all of ASCII's punctuation, the symbols among it too.
func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return '!' <= r && r <= '/' || ':' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~'
	}
	return unicode.IsPunct(r)
}
