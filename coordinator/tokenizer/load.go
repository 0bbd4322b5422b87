package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNoTokenizer is returned for a folder without a tokenizer.json.
var ErrNoTokenizer = errors.New("no tokenizer.json")

const (
	tokenizerFile   = "tokenizer.json"
	configFile      = "tokenizer_config.json"
	specialFile     = "special_tokens_map.json"
	templateFile    = "chat_template.jinja"
	maxFileBytes    = 256 << 20
	maxTemplateFile = 1 << 20
)

// Load reads the tokenizer of a model folder.
func Load(dir string) (*Tokenizer, error) {
	return read(os.DirFS(dir), func(name string) string { return filepath.Join(dir, name) })
}

// Read reads the tokenizer at the root of fsys: tokenizer.json and, where they are
// there, tokenizer_config.json, special_tokens_map.json and chat_template.jinja.
func Read(fsys fs.FS) (*Tokenizer, error) {
	return read(fsys, func(name string) string { return name })
}

func read(fsys fs.FS, display func(string) string) (*Tokenizer, error) {
	raw, err := readFile(fsys, tokenizerFile, maxFileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", display(tokenizerFile), ErrNoTokenizer)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", display(tokenizerFile), err)
	}
	cfg, err := readConfig(fsys, display)
	if err != nil {
		return nil, err
	}
	return build(node{file: display(tokenizerFile), raw: raw}, cfg)
}

func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("larger than %d bytes", limit)
	}
	return raw, nil
}

// document is the top level of tokenizer.json.
type document struct {
	Version       string          `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

func build(root node, cfg config) (*Tokenizer, error) {
	var doc document
	if err := root.strict(&doc); err != nil {
		return nil, err
	}
	if doc.Version != "1.0" {
		return nil, root.key("version", nil).errorf("%q is not supported, only \"1.0\" is", doc.Version)
	}
	t := &Tokenizer{cfg: cfg}
	var err error
	if t.normalizers, err = parseNormalizer(root.key("normalizer", doc.Normalizer)); err != nil {
		return nil, err
	}
	preNode := root.key("pre_tokenizer", doc.PreTokenizer)
	if t.preTokenizers, err = parsePreTokenizer(preNode, cfg.AddPrefixSpace); err != nil {
		return nil, err
	}
	byteLevel, err := endsInByteLevel(preNode, t.preTokenizers)
	if err != nil {
		return nil, err
	}
	model := root.key("model", doc.Model)
	file, err := parseModel(model)
	if err != nil {
		return nil, err
	}
	added, err := mergeAdded(root.key("added_tokens", nil), doc.AddedTokens, cfg)
	if err != nil {
		return nil, err
	}
	if t.vocab, err = newVocab(root, file.Vocab, added); err != nil {
		return nil, err
	}
	if t.bpe, err = newBPE(model, file, byteLevel); err != nil {
		return nil, err
	}
	t.added = newAddedMatcher(added, t.normalizers)
	if t.template, err = parsePostProcessor(root.key("post_processor", doc.PostProcessor), t.vocab); err != nil {
		return nil, err
	}
	if t.decoder, err = parseDecoder(root.key("decoder", doc.Decoder)); err != nil {
		return nil, err
	}
	if err := t.applyConfig(); err != nil {
		return nil, err
	}
	t.vocab.decodeWith(t.decoder)
	return t, nil
}
