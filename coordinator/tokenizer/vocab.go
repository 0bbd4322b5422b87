package tokenizer

import (
	"fmt"
	"sort"
	"strconv"
)

// vocab is the two-way table of token texts and ids: the model's own tokens and
// the added ones.
type vocab struct {
	ids     map[string]int32
	texts   []string // by id; a hole is an id below len(texts) with has[id] false
	has     []bool
	special []bool
	pieces  []string // by id: what the decoder takes, see decodeWith
}

// newVocab refuses ids that contradict each other, and tables with so many holes
// that a small file would ask for a huge one.
func newVocab(root node, model map[string]int32, added []addedToken) (*vocab, error) {
	v := &vocab{ids: make(map[string]int32, len(model)+len(added))}
	largest := int32(-1)
	limit := int32(min(4*(len(model)+len(added))+1024, 1<<30))
	check := func(id int32, text string, where node) error {
		if id < 0 || id >= limit {
			return where.errorf("id %d of token %q is out of range for %d entries", id, text, len(model)+len(added))
		}
		largest = max(largest, id)
		return nil
	}
	modelNode, addedNode := root.key("model.vocab", nil), root.key("added_tokens", nil)
	for text, id := range model {
		if err := check(id, text, modelNode); err != nil {
			return nil, err
		}
		v.ids[text] = id
	}
	for _, a := range added {
		if err := check(a.ID, a.Content, addedNode); err != nil {
			return nil, err
		}
		if id, ok := v.ids[a.Content]; ok && id != a.ID {
			return nil, addedNode.errorf("token %q has id %d here and %d in the vocabulary", a.Content, a.ID, id)
		}
		v.ids[a.Content] = a.ID
	}
	n := int(largest) + 1
	v.texts, v.has, v.special = make([]string, n), make([]bool, n), make([]bool, n)
	for text, id := range v.ids {
		if v.has[id] {
			return nil, modelNode.errorf("tokens %q and %q share id %d", v.texts[id], text, id)
		}
		v.texts[id], v.has[id] = text, true
	}
	for _, a := range added {
		v.special[a.ID] = a.Special
	}
	return v, nil
}

// decodeWith prepares what each id hands to the decoder, so that decoding a token
// of a byte-level vocabulary is one append.
func (v *vocab) decodeWith(d decoder) {
	v.pieces = v.texts
	if !d.byteLevel {
		return
	}
	v.pieces = make([]string, len(v.texts))
	for id, text := range v.texts {
		v.pieces[id] = bytesOfToken(text)
	}
}

func (v *vocab) lookup(id int32) bool { return id >= 0 && int(id) < len(v.has) && v.has[id] }

// mergeAdded joins the added tokens of tokenizer.json with those of
// tokenizer_config.json. Like transformers, it lets the latter's flags win and
// takes tokens that only the latter has; ids must not contradict.
func mergeAdded(where node, tokens []addedToken, cfg config) ([]addedToken, error) {
	byID := make(map[int32]int, len(tokens))
	byText := make(map[string]int, len(tokens))
	var out []addedToken
	for i, a := range tokens {
		if a.Content == "" {
			continue // the library ignores them too
		}
		if _, dup := byID[a.ID]; dup {
			return nil, where.errorf("[%d]: id %d is there twice", i, a.ID)
		}
		if _, dup := byText[a.Content]; dup {
			return nil, where.errorf("[%d]: token %q is there twice", i, a.Content)
		}
		byID[a.ID], byText[a.Content] = len(out), len(out)
		out = append(out, a)
	}
	keys := make([]string, 0, len(cfg.AddedTokensDecoder))
	for key := range cfg.AddedTokensDecoder {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		a := cfg.AddedTokensDecoder[key]
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%s: added_tokens_decoder: key %q is not an id", cfg.file, key)
		}
		a.ID = int32(id)
		if a.Content == "" {
			continue
		}
		i, sameID := byID[a.ID]
		j, sameText := byText[a.Content]
		if sameID != sameText || i != j {
			return nil, fmt.Errorf("%s: added_tokens_decoder[%q]: token %q contradicts added_tokens of %s",
				cfg.file, key, a.Content, where.file)
		}
		if sameID {
			out[i] = a
			continue
		}
		byID[a.ID], byText[a.Content] = len(out), len(out)
		out = append(out, a)
	}
	return out, nil
}
