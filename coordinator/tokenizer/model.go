package tokenizer

import (
	"bytes"
	"encoding/json"
	"strings"
)

// modelFile is the "model" of tokenizer.json.
type modelFile struct {
	Type          string           `json:"type"`
	Dropout       *float64         `json:"dropout"`
	UnkToken      *string          `json:"unk_token"`
	SubwordPrefix *string          `json:"continuing_subword_prefix"`
	EndOfWord     *string          `json:"end_of_word_suffix"`
	FuseUnk       bool             `json:"fuse_unk"`
	ByteFallback  bool             `json:"byte_fallback"`
	IgnoreMerges  bool             `json:"ignore_merges"`
	Vocab         map[string]int32 `json:"vocab"`
	Merges        json.RawMessage  `json:"merges"`

	merges [][2]string // Merges, parsed
}

func parseModel(n node) (modelFile, error) {
	var m modelFile
	if n.absent() {
		return m, n.errorf("no model")
	}
	var head struct {
		Type   *string         `json:"type"`
		Merges json.RawMessage `json:"merges"`
	}
	if err := json.Unmarshal(n.raw, &head); err != nil {
		return m, n.errorf("%w", err)
	}
	// Old files leave the type out; only BPE has merges.
	switch {
	case head.Type == nil && head.Merges == nil:
		return m, n.errorf("no \"type\"")
	case head.Type != nil && *head.Type != "BPE":
		return m, n.unsupported("model", *head.Type)
	}
	if err := n.strict(&m); err != nil {
		return m, err
	}
	if m.Dropout != nil && *m.Dropout != 0 {
		return m, n.key("dropout", nil).errorf("%v is not supported: ids would be random", *m.Dropout)
	}
	if m.SubwordPrefix != nil && *m.SubwordPrefix != "" {
		return m, n.key("continuing_subword_prefix", nil).errorf("%q is not supported", *m.SubwordPrefix)
	}
	if m.EndOfWord != nil && *m.EndOfWord != "" {
		return m, n.key("end_of_word_suffix", nil).errorf("%q is not supported", *m.EndOfWord)
	}
	if m.Vocab == nil {
		return m, n.key("vocab", nil).errorf("missing")
	}
	var err error
	m.merges, err = parseMerges(n.key("merges", m.Merges))
	return m, err
}

// parseMerges reads ["a b", ...] or the newer [["a", "b"], ...].
func parseMerges(n node) ([][2]string, error) {
	if n.absent() {
		return nil, n.errorf("missing")
	}
	body := bytes.TrimLeft(bytes.TrimPrefix(n.raw, []byte("[")), " \t\r\n")
	if len(body) > 0 && body[0] == '[' {
		var pairs [][]string
		if err := json.Unmarshal(n.raw, &pairs); err != nil {
			return nil, n.errorf("%w", err)
		}
		out := make([][2]string, len(pairs))
		for i, p := range pairs {
			if len(p) != 2 {
				return nil, n.errorf("[%d]: want two tokens, have %d", i, len(p))
			}
			out[i] = [2]string(p)
		}
		return out, nil
	}
	var lines []string
	if err := json.Unmarshal(n.raw, &lines); err != nil {
		return nil, n.errorf("%w", err)
	}
	out := make([][2]string, 0, len(lines))
	for i, line := range lines {
		if strings.HasPrefix(line, "#version") {
			continue
		}
		a, b, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(b, " ") {
			return nil, n.errorf("[%d]: %q is not two tokens with one space between", i, line)
		}
		out = append(out, [2]string{a, b})
	}
	return out, nil
}
