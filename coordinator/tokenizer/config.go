package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// config is what tokenizer_config.json and its companions say. Of its many keys,
// most of them arguments of Python constructors, only those are read that change
// ids or prompts. "clean_up_tokenization_spaces" is not: it rewrites decoded text
// after the fact, which a stream cannot do.
type config struct {
	Class              string                `json:"tokenizer_class"`
	AddBOS             *bool                 `json:"add_bos_token"`
	AddEOS             *bool                 `json:"add_eos_token"`
	AddPrefixSpace     *bool                 `json:"add_prefix_space"`
	BOSToken           tokenName             `json:"bos_token"`
	EOSToken           tokenName             `json:"eos_token"`
	ChatTemplate       chatTemplates         `json:"chat_template"`
	AddedTokensDecoder map[string]addedToken `json:"added_tokens_decoder"`

	file string
}

// tokenName is a token given as its text, or as an object with "content".
type tokenName string

func (t *tokenName) UnmarshalJSON(raw []byte) error {
	var s *string
	if err := json.Unmarshal(raw, &s); err == nil {
		if s != nil {
			*t = tokenName(*s)
		}
		return nil
	}
	var o struct {
		Content string `json:"content"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return fmt.Errorf("want a token's text or an object with \"content\": %w", err)
	}
	*t = tokenName(o.Content)
	return nil
}

// chatTemplates is one template, or several with names; the unnamed one is "default".
type chatTemplates map[string]string

const defaultTemplate = "default"

func (c *chatTemplates) UnmarshalJSON(raw []byte) error {
	var s *string
	if err := json.Unmarshal(raw, &s); err == nil {
		if s != nil {
			*c = chatTemplates{defaultTemplate: *s}
		}
		return nil
	}
	var named []struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	if err := json.Unmarshal(raw, &named); err != nil {
		return fmt.Errorf("want a template or a list of named templates: %w", err)
	}
	*c = chatTemplates{}
	for _, t := range named {
		(*c)[t.Name] = t.Template
	}
	return nil
}

func readConfig(fsys fs.FS, display func(string) string) (config, error) {
	cfg := config{file: display(configFile)}
	if err := readJSON(fsys, configFile, display, &cfg); err != nil {
		return cfg, err
	}
	// Old folders keep the names of the special tokens in a file of their own.
	var names struct {
		BOS tokenName `json:"bos_token"`
		EOS tokenName `json:"eos_token"`
	}
	if err := readJSON(fsys, specialFile, display, &names); err != nil {
		return cfg, err
	}
	if cfg.BOSToken == "" {
		cfg.BOSToken = names.BOS
	}
	if cfg.EOSToken == "" {
		cfg.EOSToken = names.EOS
	}
	// New folders keep the chat template in a file of its own, which wins.
	template, err := readFile(fsys, templateFile, maxTemplateFile)
	switch {
	case err == nil:
		if cfg.ChatTemplate == nil {
			cfg.ChatTemplate = chatTemplates{}
		}
		cfg.ChatTemplate[defaultTemplate] = string(template)
	case !errors.Is(err, fs.ErrNotExist):
		return cfg, fmt.Errorf("%s: %w", display(templateFile), err)
	}
	return cfg, nil
}

func readJSON(fsys fs.FS, name string, display func(string) string, v any) error {
	raw, err := readFile(fsys, name, maxFileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", display(name), err)
	}
	return nil
}

// templateFromFlags are the classes that throw the file's post-processor away and
// make one from add_bos_token and add_eos_token; for them BOS defaults to true.
var templateFromFlags = map[string]bool{
	"LlamaTokenizer": true, "CodeLlamaTokenizer": true, "GemmaTokenizer": true, "CohereTokenizer": true,
}

// applyConfig resolves BOS and EOS, and the flags that add them.
func (t *Tokenizer) applyConfig() error {
	find := func(key string, name tokenName) (int32, error) {
		if name == "" {
			return -1, nil
		}
		id, ok := t.vocab.ids[string(name)]
		if !ok {
			return -1, fmt.Errorf("%s: %s: token %q is not in the vocabulary", t.cfg.file, key, string(name))
		}
		return id, nil
	}
	var err error
	if t.bos, err = find("bos_token", t.cfg.BOSToken); err != nil {
		return err
	}
	if t.eos, err = find("eos_token", t.cfg.EOSToken); err != nil {
		return err
	}
	if !templateFromFlags[strings.TrimSuffix(t.cfg.Class, "Fast")] {
		return nil
	}
	var tpl template
	if t.cfg.AddBOS == nil || *t.cfg.AddBOS {
		if t.bos < 0 {
			return fmt.Errorf("%s: add_bos_token is set for a %s without bos_token", t.cfg.file, t.cfg.Class)
		}
		tpl.before = []int32{t.bos}
	}
	if t.cfg.AddEOS != nil && *t.cfg.AddEOS {
		if t.eos < 0 {
			return fmt.Errorf("%s: add_eos_token is set without eos_token", t.cfg.file)
		}
		tpl.after = []int32{t.eos}
	}
	t.template = tpl
	return nil
}
