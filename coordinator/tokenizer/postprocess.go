package tokenizer

import "encoding/json"

// template is what goes around the tokens of a text when special tokens are asked for.
type template struct {
	before, after []int32
}

func parsePostProcessor(n node, v *vocab) (template, error) {
	if n.absent() {
		return template{}, nil
	}
	typ, err := n.componentType()
	if err != nil {
		return template{}, err
	}
	switch typ {
	case "ByteLevel": // it only moves offsets
		o := struct {
			Type           string
			AddPrefixSpace bool `json:"add_prefix_space"`
			TrimOffsets    bool `json:"trim_offsets"`
			UseRegex       bool `json:"use_regex"`
		}{}
		return template{}, n.strict(&o)
	case "TemplateProcessing":
		return parseTemplate(n, v)
	case "Sequence":
		return parseProcessorSequence(n, v)
	}
	return template{}, n.unsupported("post-processor", typ)
}

func parseProcessorSequence(n node, v *vocab) (template, error) {
	o := struct {
		Type       string
		Processors json.RawMessage `json:"processors"`
	}{}
	if err := n.strict(&o); err != nil {
		return template{}, err
	}
	parts, err := n.key("processors", o.Processors).list()
	if err != nil {
		return template{}, err
	}
	var all template
	for _, part := range parts {
		t, err := parsePostProcessor(part, v)
		if err != nil {
			return template{}, err
		}
		all.before = append(append([]int32(nil), t.before...), all.before...)
		all.after = append(all.after, t.after...)
	}
	return all, nil
}

// templatePiece is a special token, or the text itself.
type templatePiece struct {
	SpecialToken *struct {
		ID     string `json:"id"`
		TypeID int    `json:"type_id"`
	} `json:"SpecialToken"`
	Sequence *struct {
		ID     string `json:"id"`
		TypeID int    `json:"type_id"`
	} `json:"Sequence"`
}

func parseTemplate(n node, v *vocab) (template, error) {
	o := struct {
		Type          string
		Single        []templatePiece `json:"single"`
		Pair          json.RawMessage `json:"pair"` // there are no pairs of texts here
		SpecialTokens map[string]struct {
			ID     string   `json:"id"`
			IDs    []int32  `json:"ids"`
			Tokens []string `json:"tokens"`
		} `json:"special_tokens"`
	}{}
	if err := n.strict(&o); err != nil {
		return template{}, err
	}
	single := n.key("single", nil)
	var t template
	texts := 0
	for i, piece := range o.Single {
		switch {
		case piece.Sequence != nil && piece.Sequence.ID == "A":
			texts++
		case piece.SpecialToken != nil:
			special, ok := o.SpecialTokens[piece.SpecialToken.ID]
			if !ok {
				return t, single.errorf("[%d]: token %q is not in special_tokens", i, piece.SpecialToken.ID)
			}
			for _, id := range special.IDs {
				if !v.lookup(id) {
					return t, single.errorf("[%d]: token %q has id %d, which is not in the vocabulary", i, special.ID, id)
				}
			}
			if texts == 0 {
				t.before = append(t.before, special.IDs...)
			} else {
				t.after = append(t.after, special.IDs...)
			}
		default:
			return t, single.errorf("[%d] is neither a special token nor the text", i)
		}
	}
	if texts != 1 {
		return t, single.errorf("want the text once, have it %d times", texts)
	}
	return t, nil
}
