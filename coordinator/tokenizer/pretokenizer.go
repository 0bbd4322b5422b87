package tokenizer

import (
	"encoding/json"
	"unicode/utf8"
)

// preTokenizer cuts a stretch of text into words. first says that the stretch
// begins where the whole text begins.
type preTokenizer interface {
	split(s string, first bool, emit emit) error
}

// emit takes a word, and whether the whole text begins with it. Words go on one by
// one: lists of them would be longer than the text.
type emit func(word string, first bool)

// parsePreTokenizer returns the steps in order, a Sequence opened up.
// prefixSpace, where set, is the option of tokenizer_config.json, which replaces
// the one of a pre-tokenizer that stands alone.
func parsePreTokenizer(n node, prefixSpace *bool) ([]preTokenizer, error) {
	if n.absent() {
		return nil, nil
	}
	typ, err := n.componentType()
	if err != nil {
		return nil, err
	}
	switch typ {
	case "ByteLevel":
		o := struct {
			Type           string
			AddPrefixSpace bool  `json:"add_prefix_space"`
			TrimOffsets    bool  `json:"trim_offsets"` // offsets are not ours to give
			UseRegex       *bool `json:"use_regex"`
		}{}
		if err := n.strict(&o); err != nil {
			return nil, err
		}
		if prefixSpace != nil && n.depth == 0 {
			o.AddPrefixSpace = *prefixSpace
		}
		return []preTokenizer{byteLevel{o.AddPrefixSpace, o.UseRegex == nil || *o.UseRegex}}, nil
	case "Digits":
		o := struct {
			Type       string
			Individual bool `json:"individual_digits"`
		}{}
		if err := n.strict(&o); err != nil {
			return nil, err
		}
		if o.Individual {
			return []preTokenizer{digits{}}, nil
		}
		return []preTokenizer{splitter{find: matchRunes(isNumeric), behavior: contiguous}}, nil
	case "Punctuation":
		o := struct {
			Type     string
			Behavior behavior `json:"behavior"`
		}{Behavior: isolated}
		if err := n.strict(&o); err != nil {
			return nil, err
		}
		return []preTokenizer{splitter{find: matchRunes(isPunctuation), behavior: o.Behavior}}, nil
	case "WhitespaceSplit":
		if err := n.strict(&struct{ Type string }{}); err != nil {
			return nil, err
		}
		return []preTokenizer{splitter{find: matchRunes(isSpace), behavior: removed}}, nil
	case "Split":
		return parseSplit(n)
	case "Metaspace":
		m, err := parseMetaspace(n)
		return []preTokenizer{m}, err
	case "Sequence":
		return parsePreTokenizerSequence(n)
	}
	return nil, n.unsupported("pre-tokenizer", typ)
}

func parsePreTokenizerSequence(n node) ([]preTokenizer, error) {
	o := struct {
		Type          string
		PreTokenizers json.RawMessage `json:"pretokenizers"`
	}{}
	if err := n.strict(&o); err != nil {
		return nil, err
	}
	parts, err := n.key("pretokenizers", o.PreTokenizers).list()
	if err != nil {
		return nil, err
	}
	var steps []preTokenizer
	for _, part := range parts {
		s, err := parsePreTokenizer(part, nil)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s...)
	}
	return steps, nil
}

// endsInByteLevel says whether words are read as bytes. A step behind ByteLevel
// would see the byte alphabet instead of text, which no step here does.
func endsInByteLevel(n node, steps []preTokenizer) (bool, error) {
	for i, step := range steps {
		if _, ok := step.(byteLevel); !ok {
			continue
		}
		if i != len(steps)-1 {
			return false, n.errorf("a pre-tokenizer behind ByteLevel is not supported")
		}
		return true, nil
	}
	return false, nil
}

// digits makes every numeric character a word of its own.
type digits struct{}

func (digits) split(s string, first bool, emit emit) error {
	from := 0
	for i, r := range s {
		if !isNumeric(r) {
			continue
		}
		if from < i {
			emit(s[from:i], first && from == 0)
		}
		from = i + utf8.RuneLen(r)
		emit(s[i:from], first && i == 0)
	}
	if from < len(s) {
		emit(s[from:], first && from == 0)
	}
	return nil
}
