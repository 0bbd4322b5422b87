package tokenizer

import (
	"encoding/json"
	"strings"
)

// decoder turns tokens back into text. Almost all vocabularies are byte-level and
// need one step; the others go through a chain of stages.
type decoder struct {
	byteLevel bool
	chain     []func() stage // makers: a stage has the state of one text
}

// stage is one step of a chain that works on a text as it comes, so that decoding
// a stream and decoding a whole text are the same thing.
type stage interface {
	push(token string, emit func(string))
	flush(emit func(string))
	// middle is what the stage makes of a token inside a text, in bytes.
	middle(token string) string
}

func parseDecoder(n node) (decoder, error) {
	if n.absent() {
		return decoder{chain: []func() stage{func() stage { return &joinStage{} }}}, nil
	}
	parts, err := flattenDecoders(n)
	if err != nil {
		return decoder{}, err
	}
	var d decoder
	fused := false
	for i, part := range parts {
		typ, err := part.componentType()
		if err != nil {
			return d, err
		}
		switch {
		case d.byteLevel && typ == "Fuse":
			continue // its output is one piece already
		case d.byteLevel, typ == "ByteLevel" && i > 0:
			return d, part.errorf("decoder ByteLevel together with others is not supported")
		case typ == "ByteLevel":
			d.byteLevel = true
			o := struct {
				Type           string
				AddPrefixSpace bool `json:"add_prefix_space"`
				TrimOffsets    bool `json:"trim_offsets"`
				UseRegex       bool `json:"use_regex"`
			}{}
			if err := part.strict(&o); err != nil {
				return d, err
			}
			continue
		case fused && typ != "Strip":
			return d, part.errorf("decoder %s behind Fuse is not supported", typ)
		}
		mk, err := parseStage(part, typ, fused)
		if err != nil {
			return d, err
		}
		fused = fused || typ == "Fuse"
		d.chain = append(d.chain, mk)
	}
	return d, nil
}

// flattenDecoders opens Sequences up.
func flattenDecoders(n node) ([]node, error) {
	typ, err := n.componentType()
	if err != nil {
		return nil, err
	}
	if typ != "Sequence" {
		return []node{n}, nil
	}
	o := struct {
		Type     string
		Decoders json.RawMessage `json:"decoders"`
	}{}
	if err := n.strict(&o); err != nil {
		return nil, err
	}
	parts, err := n.key("decoders", o.Decoders).list()
	if err != nil {
		return nil, err
	}
	var flat []node
	for _, part := range parts {
		f, err := flattenDecoders(part)
		if err != nil {
			return nil, err
		}
		flat = append(flat, f...)
	}
	return flat, nil
}

func parseStage(n node, typ string, fused bool) (func() stage, error) {
	switch typ {
	case "Fuse":
		return func() stage { return fuseStage{} }, n.strict(&struct{ Type string }{})
	case "ByteFallback":
		return func() stage { return &fallbackStage{} }, n.strict(&struct{ Type string }{})
	case "Replace":
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
			return nil, n.key("pattern", nil).errorf("a Regex is not supported in a Replace decoder")
		}
		r := strings.NewReplacer(*o.Pattern.String, o.Content)
		return func() stage { return replaceStage{r} }, nil
	case "Strip":
		return parseStrip(n, fused)
	case "Metaspace":
		m, err := parseMetaspace(n)
		return func() stage { return &metaspaceStage{mark: m.mark, dropFirst: m.scheme != prependNever} }, err
	}
	return nil, n.unsupported("decoder", typ)
}

func (d decoder) tokenBytes(piece string) []byte {
	for _, mk := range d.chain {
		piece = mk().middle(piece)
	}
	return []byte(piece)
}
