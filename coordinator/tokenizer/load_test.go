package tokenizer

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// tiny is the smallest file that loads: a byte-level vocabulary of "a", "b", "ab".
func tiny(patch map[string]string) []byte {
	doc := map[string]json.RawMessage{
		"version": json.RawMessage(`"1.0"`), "truncation": nil, "padding": nil,
		"added_tokens":  json.RawMessage(`[{"id":3,"content":"<s>","special":true},{"id":4,"content":"</s>","special":true}]`),
		"normalizer":    nil,
		"pre_tokenizer": json.RawMessage(`{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}`),
		"decoder":       json.RawMessage(`{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}`),
		"model":         json.RawMessage(`{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`),
	}
	for k, v := range patch {
		doc[k] = json.RawMessage(v)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return raw
}

func readTiny(patch map[string]string, config string) (*Tokenizer, error) {
	fsys := fstest.MapFS{tokenizerFile: {Data: tiny(patch)}}
	if config != "" {
		fsys[configFile] = &fstest.MapFile{Data: []byte(config)}
	}
	return Read(fsys)
}

func TestLoadErrors(t *testing.T) {
	seq := func(s string) string {
		return `{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},` + s + `]}`
	}
	for _, c := range []struct{ key, value, want string }{
		{"version", `"2.0"`, `tokenizer.json: version: "2.0" is not supported`},
		{"colour", `1`, `tokenizer.json: json: unknown field "colour"`},
		{"normalizer", `{"type":"Precompiled","precompiled_charsmap":""}`, `tokenizer.json: normalizer: normalizer type "Precompiled" is not supported`},
		{"normalizer", `{}`, `tokenizer.json: normalizer: no "type"`},
		{"normalizer", `{"type":"NFC","x":1}`, `tokenizer.json: normalizer: json: unknown field "x"`},
		{"normalizer", `{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Nmt"}]}`, `normalizer.normalizers[1]: normalizer type "Nmt" is not supported`},
		{"normalizer", `{"type":"Replace","pattern":{"Regex":"a+"},"content":"b"}`, "normalizer.pattern: a Regex is not supported"},
		{"normalizer", `{"type":"Replace","pattern":{"String":""},"content":"b"}`, "pattern.String is empty"},
		{"pre_tokenizer", `{"type":"UnicodeScripts"}`, `pre_tokenizer: pre-tokenizer type "UnicodeScripts" is not supported`},
		{"pre_tokenizer", seq(`{"type":"BertPreTokenizer"}`), `pre_tokenizer.pretokenizers[1]: pre-tokenizer type "BertPreTokenizer"`},
		{"pre_tokenizer", seq(`{"type":"ByteLevel"},{"type":"Digits","individual_digits":true}`), "behind ByteLevel is not supported"},
		{"pre_tokenizer", `{"type":"Split","pattern":{"Regex":"^a"},"behavior":"Isolated","invert":false}`, "pre_tokenizer.pattern.Regex: pattern"},
		{"pre_tokenizer", `{"type":"Split","pattern":{"Regex":"a++"},"behavior":"Isolated","invert":false}`, "possessive quantifier at byte 1"},
		{"pre_tokenizer", `{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated","invert":false}`, "pre_tokenizer.pattern.Regex"},
		{"pre_tokenizer", `{"type":"Split","pattern":{},"behavior":"Isolated","invert":false}`, "must have one of"},
		{"pre_tokenizer", `{"type":"Split","pattern":{"String":"a"},"behavior":"Sideways","invert":false}`, `behavior "Sideways" is not supported`},
		{"pre_tokenizer", `{"type":"Metaspace","replacement":"__"}`, "pre_tokenizer.replacement: want one character"},
		{"pre_tokenizer", `{"type":"Metaspace","replacement":"▁","prepend_scheme":"last"}`, `prepend_scheme: "last" is not supported`},
		{"pre_tokenizer", strings.Repeat(`{"type":"Sequence","pretokenizers":[`, 20) + strings.Repeat(`]}`, 20), "nest more than 8 deep"},
		{"post_processor", `{"type":"BertProcessing","sep":["a",1],"cls":["b",0]}`, `post_processor: post-processor type "BertProcessing" is not supported`},
		{"post_processor", `{"type":"TemplateProcessing","single":[],"pair":[],"special_tokens":{}}`, "post_processor.single: want the text once, have it 0 times"},
		{"post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{}}`, `post_processor.single: [0]: token "x" is not in special_tokens`},
		{"post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"x":{"id":"x","ids":[9],"tokens":["x"]}}}`, "has id 9, which is not in the vocabulary"},
		{"decoder", `{"type":"WordPiece","prefix":"##","cleanup":true}`, `decoder: decoder type "WordPiece" is not supported`},
		{"decoder", `{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteFallback"}]}`, "decoder.decoders[1]: decoder ByteFallback behind Fuse is not supported"},
		{"decoder", `{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Strip","content":" ","start":0,"stop":1}]}`, "decoder.decoders[1].stop: 1 behind Fuse"},
		{"decoder", `{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"ByteLevel"}]}`, "ByteLevel together with others"},
		{"model", `null`, "tokenizer.json: model: no model"},
		{"model", `{"type":"Unigram","unk_id":0,"vocab":[]}`, `model: model type "Unigram" is not supported`},
		{"model", `{"type":"BPE","merges":[]}`, "model.vocab: missing"},
		{"model", `{"type":"BPE","vocab":{}}`, "model.merges: missing"},
		{"model", `{"type":"BPE","vocab":{"a":0},"merges":["a b"]}`, `model.merges[0]: token "b" is not in the vocabulary`},
		{"model", `{"type":"BPE","vocab":{"a":0,"b":1},"merges":[["a","b"]]}`, `model.merges[0]: token "ab" is not in the vocabulary`},
		{"model", `{"type":"BPE","vocab":{"a":0},"merges":["ab"]}`, `model.merges: [0]: "ab" is not two tokens`},
		{"model", `{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}`, "model.merges: [0]: want two tokens, have 1"},
		{"model", `{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}`, "share id 0"},
		{"model", `{"type":"BPE","vocab":{"a":-1},"merges":[]}`, "id -1 of token \"a\" is out of range"},
		{"model", `{"type":"BPE","vocab":{"a":2000000000},"merges":[]}`, "out of range"},
		{"model", `{"type":"BPE","dropout":0.1,"vocab":{"a":0},"merges":[]}`, "model.dropout: 0.1 is not supported"},
		{"model", `{"type":"BPE","end_of_word_suffix":"</w>","vocab":{"a":0},"merges":[]}`, `model.end_of_word_suffix: "</w>" is not supported`},
		{"model", `{"type":"BPE","continuing_subword_prefix":"##","vocab":{"a":0},"merges":[]}`, `model.continuing_subword_prefix`},
		{"model", `{"type":"BPE","unk_token":"u","vocab":{"a":0},"merges":[]}`, `model.unk_token: "u" is not in the vocabulary`},
		{"added_tokens", `[{"id":7,"content":"a"}]`, `added_tokens: token "a" has id 7 here and 0 in the vocabulary`},
		{"added_tokens", `[{"id":7,"content":"x"},{"id":7,"content":"y"}]`, "added_tokens: [1]: id 7 is there twice"},
		{"added_tokens", `[{"id":0,"content":"x"}]`, "share id 0"},
	} {
		_, err := readTiny(map[string]string{c.key: c.value}, "")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), tokenizerFile) {
			t.Errorf("%s = %s\n have %v\n want %s", c.key, c.value, err, c.want)
		}
	}
}

func TestConfig(t *testing.T) {
	bosFile := map[string]string{"post_processor": `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[3],"tokens":["<s>"]}}}`}
	for _, c := range []struct {
		name   string
		patch  map[string]string
		config string
		want   []int32 // of "ab", with special tokens
		err    string
	}{
		{"nothing says so", nil, "", []int32{2}, ""},
		{"flags of a class that ignores them", nil, `{"tokenizer_class":"GPT2Tokenizer","add_bos_token":true,"bos_token":"<s>"}`, []int32{2}, ""},
		{"the file says so", bosFile, `{}`, []int32{3, 2}, ""},
		{"Llama default", nil, `{"tokenizer_class":"LlamaTokenizer","bos_token":{"content":"<s>"}}`, []int32{3, 2}, ""},
		{"Llama both", nil, `{"tokenizer_class":"LlamaTokenizerFast","bos_token":"<s>","eos_token":"</s>","add_eos_token":true}`, []int32{3, 2, 4}, ""},
		{"Llama off", bosFile, `{"tokenizer_class":"LlamaTokenizer","bos_token":"<s>","add_bos_token":false}`, []int32{2}, ""},
		{"no such token", nil, `{"eos_token":"<x>"}`, nil, `tokenizer_config.json: eos_token: token "<x>" is not in the vocabulary`},
		{"no BOS", nil, `{"tokenizer_class":"LlamaTokenizer"}`, nil, "without bos_token"},
		{"broken", nil, `{`, nil, "tokenizer_config.json: "},
		{"not a template", nil, `{"chat_template":7}`, nil, "tokenizer_config.json: "},
		{"one more token", nil, `{"added_tokens_decoder":{"5":{"content":"ab","special":false,"normalized":false}}}`, nil, `token "ab" has id 5 here and 2`},
		{"contradiction", nil, `{"added_tokens_decoder":{"3":{"content":"<z>"}}}`, nil, `added_tokens_decoder["3"]: token "<z>" contradicts`},
		{"not an id", nil, `{"added_tokens_decoder":{"x":{"content":"<z>"}}}`, nil, `key "x" is not an id`},
		{"cut first", nil, `{"added_tokens_decoder":{"2":{"content":"ab","special":true}}}`, []int32{2}, ""},
	} {
		tok, err := readTiny(c.patch, c.config)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want %s", c.name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, err := tok.Encode("ab", EncodeOptions{AddSpecial: true, ParseSpecial: true})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v %v, want %v", c.name, got, err, c.want)
		}
	}
}

func TestChatTemplates(t *testing.T) {
	fsys := fstest.MapFS{
		tokenizerFile: {Data: tiny(nil)},
		configFile:    {Data: []byte(`{"chat_template":[{"name":"default","template":"D"},{"name":"tool_use","template":"T"}]}`)},
		specialFile:   {Data: []byte(`{"bos_token":"<s>","eos_token":{"content":"</s>"}}`)},
	}
	tok, err := Read(fsys)
	if err != nil {
		t.Fatal(err)
	}
	tool, ok := tok.NamedChatTemplate("tool_use")
	if tok.ChatTemplate() != "D" || tool != "T" || !ok {
		t.Errorf("%q %q %v", tok.ChatTemplate(), tool, ok)
	}
	if bos, _ := tok.BOS(); bos != 3 || tok.EOSToken() != "</s>" {
		t.Errorf("special tokens %d %q", bos, tok.EOSToken())
	}
	fsys[templateFile] = &fstest.MapFile{Data: []byte("J")}
	if tok, err = Read(fsys); err != nil || tok.ChatTemplate() != "J" {
		t.Errorf("%v %v", tok.ChatTemplate(), err)
	}
}

func TestNoTokenizer(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(dir)
	if !errors.Is(err, ErrNoTokenizer) || !strings.Contains(err.Error(), filepath.Join(dir, tokenizerFile)) {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, tokenizerFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || errors.Is(err, ErrNoTokenizer) || !strings.HasPrefix(err.Error(), dir) {
		t.Errorf("%v", err)
	}
	if _, err := Read(failingFS{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}

type failingFS struct{}

func (failingFS) Open(string) (fs.File, error) { return nil, fs.ErrPermission }
