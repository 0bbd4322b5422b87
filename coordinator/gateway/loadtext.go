package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sullae/sullae/coordinator/chattemplate"
	"github.com/sullae/sullae/coordinator/tokenizer"
	"github.com/sullae/sullae/coordinator/toolcall"
)

// LoadText reads the tokenizer, the chat template and tokenizer_config.json of a
// model's folder. A folder without tokenizer.json leaves the model with token
// ids alone, one without a chat template without chat; neither is an error.
func (m *Model) LoadText(dir string) error {
	return m.ReadText(os.DirFS(dir))
}

// ReadText is LoadText of a file system: an embedded model's, say.
func (m *Model) ReadText(fsys fs.FS) error {
	t, err := tokenizer.Read(fsys)
	if errors.Is(err, tokenizer.ErrNoTokenizer) {
		return nil
	}
	if err != nil {
		return err
	}
	if t.VocabSize() > m.Vocab {
		return fmt.Errorf("tokenizer.json: has token ids up to %d, but the model's embedding has %d rows (vocab_size in config.json): these files do not belong together",
			t.VocabSize()-1, m.Vocab)
	}
	var config map[string]any
	if raw, err := fs.ReadFile(fsys, "tokenizer_config.json"); err == nil {
		if err := json.Unmarshal(raw, &config); err != nil {
			return fmt.Errorf("tokenizer_config.json: %w", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if source := t.ChatTemplate(); source != "" {
		parsed, err := chattemplate.Parse("tokenizer_config.json", source)
		if err != nil {
			return err
		}
		if config == nil {
			config = map[string]any{}
		}
		config["chat_template"] = source // wherever the folder has it
		m.Template = fileTemplate{parsed, t.BOSToken(), t.EOSToken()}
		m.ToolFormat = toolcall.Detect(source)
	}
	m.Tokenizer, m.TokenizerConfig = fileTokenizer{t}, config
	return nil
}

type fileTokenizer struct{ t *tokenizer.Tokenizer }

// Encode lets special tokens that are written in the text be themselves, as
// Hugging Face does: rendered conversations depend on it.
func (f fileTokenizer) Encode(text string, addSpecial bool) ([]int32, error) {
	return f.t.Encode(text, tokenizer.EncodeOptions{AddSpecial: addSpecial, ParseSpecial: true})
}

func (f fileTokenizer) Decode(ids []int32, skipSpecial bool) string {
	return f.t.Decode(ids, skipSpecial)
}

func (f fileTokenizer) TokenBytes(id int32) []byte {
	b, ok := f.t.TokenBytes(id)
	if !ok {
		return nil
	}
	return append([]byte{}, b...) // a token of no bytes is one, still
}

func (f fileTokenizer) IsSpecial(id int32) bool { return f.t.IsSpecial(id) }

func (f fileTokenizer) NewStreamDecoder(skipSpecial bool) StreamDecoder {
	return tokenizer.NewStreamDecoder(f.t, skipSpecial)
}
