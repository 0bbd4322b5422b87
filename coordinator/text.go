package coordinator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/sullae/sullae/coordinator/chattemplate"
	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/tokenizer"
	"github.com/sullae/sullae/shard/checkpoint"
)

// loadText reads the tokenizer and the chat template of a model's folder. A
// folder without tokenizer.json has neither, which is no error: such a model is
// served for token ids.
func loadText(ckpt *checkpoint.Checkpoint, m *gateway.Model) error {
	tok, err := tokenizer.Read(ckpt.FS())
	if errors.Is(err, tokenizer.ErrNoTokenizer) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", ckpt.Name(), err)
	}
	if n := tok.VocabSize(); n > m.Vocab {
		return fmt.Errorf("%s: the tokenizer has ids up to %d, but vocab_size in config.json is %d: the files are not of one model", path.Join(ckpt.Name(), "tokenizer.json"), n-1, m.Vocab)
	}
	m.Tokenizer = textTokenizer{tok}
	if id, ok := tok.EOS(); ok && len(m.EOS) == 0 {
		m.EOS = []int32{id}
	}
	if raw, err := fs.ReadFile(ckpt.FS(), "tokenizer_config.json"); err == nil {
		if err := json.Unmarshal(raw, &m.TokenizerConfig); err != nil {
			return fmt.Errorf("%s: %w", path.Join(ckpt.Name(), "tokenizer_config.json"), err)
		}
	}
	source := tok.ChatTemplate()
	if source == "" {
		return nil
	}
	t, err := chattemplate.Parse("chat_template", source)
	if err != nil {
		return fmt.Errorf("%s: %w", path.Join(ckpt.Name(), "tokenizer_config.json"), err)
	}
	m.Template = textTemplate{t, tok}
	return nil
}

// textTokenizer is a tokenizer.Tokenizer as the gateway wants it.
type textTokenizer struct{ *tokenizer.Tokenizer }

func (t textTokenizer) Encode(text string, addSpecial bool) ([]int32, error) {
	return t.Tokenizer.Encode(text, tokenizer.EncodeOptions{AddSpecial: addSpecial, ParseSpecial: true})
}

func (t textTokenizer) TokenBytes(id int32) []byte {
	b, _ := t.Tokenizer.TokenBytes(id)
	return b
}

func (t textTokenizer) NewStreamDecoder(skipSpecial bool) gateway.StreamDecoder {
	return streamDecoder{tokenizer.NewStreamDecoder(t.Tokenizer, skipSpecial)}
}

type streamDecoder struct{ *tokenizer.StreamDecoder }

func (d streamDecoder) Next(id int32) string { return d.Push(id) }

// textTemplate is a chat template with its model's own tokens.
type textTemplate struct {
	t   *chattemplate.Template
	tok *tokenizer.Tokenizer
}

// templateMessage is a message as published templates read it.
type templateMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func (t textTemplate) Render(messages []gateway.Message, addGenerationPrompt bool) (string, error) {
	ms := make([]templateMessage, len(messages))
	for i, m := range messages {
		ms[i] = templateMessage(m)
	}
	return t.t.Render(chattemplate.Context{
		Messages: ms, AddGenerationPrompt: addGenerationPrompt, BOSToken: t.tok.BOSToken(), EOSToken: t.tok.EOSToken(),
	})
}
