package tokenizer

import (
	"fmt"
	"time"

	"github.com/dlclark/regexp2/v2"
)

// knownPatterns have a splitter written by hand. They cover every character, so
// that "keep the matches" and "keep matches and gaps" are the same.
var knownPatterns = map[string]knownSplitter{
	patternGPT2:  splitGPT2,
	patternLlama: func(s string, first bool, emit emit) { splitCL100K(s, 3, first, emit) },
	patternQwen:  func(s string, first bool, emit emit) { splitCL100K(s, 1, first, emit) },
}

type knownSplitter func(s string, first bool, emit emit)

func (k knownSplitter) split(s string, first bool, emit emit) error {
	k(s, first, emit)
	return nil
}

func parseSplit(n node) ([]preTokenizer, error) {
	o := struct {
		Type     string
		Pattern  pattern  `json:"pattern"`
		Behavior behavior `json:"behavior"`
		Invert   bool     `json:"invert"`
	}{}
	if err := n.strict(&o); err != nil {
		return nil, err
	}
	if err := n.checkPattern(o.Pattern); err != nil {
		return nil, err
	}
	if o.Pattern.String != nil {
		return []preTokenizer{splitter{matchString(*o.Pattern.String), o.Behavior, o.Invert}}, nil
	}
	known, ok := knownPatterns[*o.Pattern.Regex]
	if ok && (o.Behavior == isolated || o.Behavior == removed && o.Invert) {
		return []preTokenizer{known}, nil
	}
	find, err := compileRegex(*o.Pattern.Regex)
	if err != nil {
		return nil, n.key("pattern.Regex", nil).errorf("%w", err)
	}
	return []preTokenizer{splitter{find, o.Behavior, o.Invert}}, nil
}

// regexTimeout bounds one match of a pattern: the engine backtracks.
const regexTimeout = 5 * time.Second

// compileRegex is the way of patterns nobody wrote a splitter for. The library's
// engine is Oniguruma, this one is a .NET one: checkRegex lets pass only what
// means the same in both.
func compileRegex(expr string) (finder, error) {
	if err := checkRegex(expr); err != nil {
		return nil, err
	}
	re, err := regexp2.Compile(expr)
	if err != nil {
		return nil, err
	}
	re.MatchTimeout = regexTimeout
	return func(s string) ([]span, error) {
		runes := []rune(s)
		var spans []span
		doneRunes, done := 0, 0
		advance := func(to int) int {
			at := done
			for _, r := range runes[doneRunes:to] {
				at += len(string(r))
			}
			return at
		}
		err := re.FindRunesMatches(runes, -1, func(m regexp2.MatchView) bool {
			index, length, _ := m.GroupRange(0)
			if start := advance(index); start > done {
				spans = append(spans, span{done, start, false})
				done, doneRunes = start, index
			}
			end := advance(index + length)
			spans = append(spans, span{done, end, true})
			done, doneRunes = end, index+length
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", expr, err)
		}
		if done < len(s) {
			spans = append(spans, span{done, len(s), false})
		}
		return spans, nil
	}, nil
}
