package tokenizer

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalizer rewrites the text between added tokens.
type normalizer func(string) string

// normalize applies the steps in order. Nothing is made out of nothing.
func normalize(steps []normalizer, s string) string {
	if s == "" {
		return s
	}
	for _, step := range steps {
		s = step(s)
	}
	return s
}

func parseNormalizer(n node) ([]normalizer, error) {
	if n.absent() {
		return nil, nil
	}
	typ, err := n.componentType()
	if err != nil {
		return nil, err
	}
	one := func(f normalizer, options any) ([]normalizer, error) {
		if options == nil {
			options = &struct{ Type string }{}
		}
		return []normalizer{f}, n.strict(options)
	}
	switch typ {
	case "NFC":
		return one(normalForm(norm.NFC), nil)
	case "NFD":
		return one(normalForm(norm.NFD), nil)
	case "NFKC":
		return one(normalForm(norm.NFKC), nil)
	case "NFKD":
		return one(normalForm(norm.NFKD), nil)
	case "Lowercase":
		return one(lowercase, nil)
	case "Strip":
		o := struct {
			Type  string
			Left  bool `json:"strip_left"`
			Right bool `json:"strip_right"`
		}{}
		return one(func(s string) string { return stripSpace(s, o.Left, o.Right) }, &o)
	case "Prepend":
		o := struct {
			Type    string
			Prepend string `json:"prepend"`
		}{}
		return one(func(s string) string {
			if s == "" {
				return s
			}
			return o.Prepend + s
		}, &o)
	case "Replace":
		return parseReplace(n)
	case "Sequence":
		return parseNormalizerSequence(n)
	}
	return nil, n.unsupported("normalizer", typ)
}

func parseReplace(n node) ([]normalizer, error) {
	o := struct {
		Type    string
		Pattern pattern `json:"pattern"`
		Content string  `json:"content"`
	}{}
	if err := n.strict(&o); err != nil {
		return nil, err
	}
	if err := n.checkPattern(o.Pattern); err != nil {
		return nil, err
	}
	if o.Pattern.Regex != nil {
		return nil, n.key("pattern", nil).errorf("a Regex is not supported in a Replace normalizer")
	}
	old := *o.Pattern.String
	return []normalizer{func(s string) string { return strings.ReplaceAll(s, old, o.Content) }}, nil
}

func parseNormalizerSequence(n node) ([]normalizer, error) {
	o := struct {
		Type        string
		Normalizers json.RawMessage `json:"normalizers"`
	}{}
	if err := n.strict(&o); err != nil {
		return nil, err
	}
	parts, err := n.key("normalizers", o.Normalizers).list()
	if err != nil {
		return nil, err
	}
	var steps []normalizer
	for _, part := range parts {
		s, err := parseNormalizer(part)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s...)
	}
	return steps, nil
}

// lowercase maps rune by rune, without the final sigma rule. One rune has a
// lower case of two: U+0130.
func lowercase(s string) string {
	if !strings.ContainsRune(s, 'İ') {
		return strings.ToLower(s)
	}
	return strings.ToLower(strings.ReplaceAll(s, "İ", "i\u0307"))
}

func stripSpace(s string, left, right bool) string {
	if left {
		s = s[spacePrefix(s):]
	}
	if right {
		s = s[:trimmedEnd(s)]
	}
	return s
}

// isNumeric is the numeric of the Digits pre-tokenizer: Nd, Nl and No.
func isNumeric(r rune) bool {
	if r < utf8.RuneSelf {
		return '0' <= r && r <= '9'
	}
	return isNumber(r)
}
