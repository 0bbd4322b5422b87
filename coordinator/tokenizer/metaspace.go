package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// prependScheme says where Metaspace puts its mark in front.
const (
	prependAlways = "always"
	prependFirst  = "first"
	prependNever  = "never"
)

// metaspace writes spaces as a visible mark, ▁ by tradition.
type metaspace struct {
	mark     string
	scheme   string
	cutWords bool
}

type metaspaceFile struct {
	Type           string
	Replacement    string  `json:"replacement"`
	PrependScheme  *string `json:"prepend_scheme"`
	AddPrefixSpace *bool   `json:"add_prefix_space"` // the older way to say it
	Split          *bool   `json:"split"`
	StrRep         string  `json:"str_rep"` // the replacement again, in old files
}

func parseMetaspace(n node) (metaspace, error) {
	var o metaspaceFile
	if err := n.strict(&o); err != nil {
		return metaspace{}, err
	}
	m := metaspace{mark: o.Replacement, scheme: prependAlways, cutWords: o.Split == nil || *o.Split}
	if utf8.RuneCountInString(o.Replacement) != 1 {
		return m, n.key("replacement", nil).errorf("want one character, have %q", o.Replacement)
	}
	if o.PrependScheme != nil {
		m.scheme = *o.PrependScheme
	}
	if o.AddPrefixSpace != nil && !*o.AddPrefixSpace && m.scheme != prependNever {
		return m, n.errorf("add_prefix_space contradicts prepend_scheme %q", m.scheme)
	}
	switch m.scheme {
	case prependAlways, prependFirst, prependNever:
		return m, nil
	}
	return m, n.key("prepend_scheme", nil).errorf("%q is not supported", m.scheme)
}

func (m metaspace) split(s string, first bool, emit emit) error {
	s = strings.ReplaceAll(s, " ", m.mark)
	if (m.scheme == prependAlways || m.scheme == prependFirst && first) && !strings.HasPrefix(s, m.mark) {
		s = m.mark + s
	}
	if !m.cutWords {
		emit(s, first)
		return nil
	}
	cuts := splitter{find: matchString(m.mark), behavior: mergedWithNext}
	return cuts.split(s, first, emit)
}
