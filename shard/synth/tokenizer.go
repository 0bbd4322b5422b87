package synth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// tokenizerFiles are copied where they are; the first must be.
var tokenizerFiles = []string{
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
	"added_tokens.json", "vocab.json", "merges.txt",
}

// tokenizer is a folder's tokenizer files and what a config must know of them.
type tokenizer struct {
	files   map[string][]byte
	size    int            // one more than the largest id
	ids     map[string]int // of all tokens, by content
	special map[string]json.RawMessage
}

// readTokenizer reads the tokenizer files of a folder.
func readTokenizer(dir string) (*tokenizer, error) {
	t := &tokenizer{files: map[string][]byte{}, ids: map[string]int{}}
	for _, name := range tokenizerFiles {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) && name != tokenizerFiles[0] {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("synth: tokenizer: %w", err)
		}
		t.files[name] = data
	}
	var file struct {
		Model struct {
			Vocab map[string]int `json:"vocab"`
		} `json:"model"`
		Added []struct {
			ID      int    `json:"id"`
			Content string `json:"content"`
		} `json:"added_tokens"`
	}
	path := filepath.Join(dir, tokenizerFiles[0])
	if err := json.Unmarshal(t.files[tokenizerFiles[0]], &file); err != nil {
		return nil, fmt.Errorf("synth: tokenizer: %s: %w", path, err)
	}
	if len(file.Model.Vocab) == 0 {
		return nil, fmt.Errorf("synth: tokenizer: %s: model.vocab is missing or empty", path)
	}
	t.ids = file.Model.Vocab
	for _, a := range file.Added {
		t.ids[a.Content] = a.ID
	}
	for _, id := range t.ids {
		t.size = max(t.size, id+1)
	}
	if data := t.files["tokenizer_config.json"]; data != nil {
		if err := json.Unmarshal(data, &t.special); err != nil {
			return nil, fmt.Errorf("synth: tokenizer: %s: %w", filepath.Join(dir, "tokenizer_config.json"), err)
		}
	}
	return t, nil
}

// id is the id of a special token of tokenizer_config.json, a string or an
// object with its content, or absent.
func (t *tokenizer) id(key string, absent int) int {
	var object struct {
		Content string `json:"content"`
	}
	if json.Unmarshal(t.special[key], &object.Content) != nil {
		_ = json.Unmarshal(t.special[key], &object) // else it is absent
	}
	if id, ok := t.ids[object.Content]; ok {
		return id
	}
	return absent
}
