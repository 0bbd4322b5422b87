package gateway

import (
	"errors"
	"fmt"
)

func (s *Service) noTokenizer() error {
	return fmt.Errorf("the model %q %w", s.model.Name, ErrNoTokenizer)
}

// encode tokenizes a text of the request. It doesn't check the length.
func (s *Service) encode(text string, addSpecial bool) ([]int32, error) {
	if s.model.Tokenizer == nil {
		return nil, s.noTokenizer()
	}
	if err := validUTF8("prompt", text); err != nil {
		return nil, err
	}
	ids, err := s.model.Tokenizer.Encode(text, addSpecial)
	if err != nil {
		return nil, fieldErr("prompt", "can't be tokenized: %v", err)
	}
	return ids, nil
}

func (s *Service) encodeChat(chat Chat, addGenerationPrompt, addSpecial bool) ([]int32, error) {
	if s.model.Tokenizer == nil {
		return nil, s.noTokenizer()
	}
	if s.model.Template == nil {
		return nil, fmt.Errorf("the model %q %w", s.model.Name, ErrNoTemplate)
	}
	if len(chat.Messages) == 0 {
		return nil, fieldErr("messages", "is missing or empty")
	}
	for i, m := range chat.Messages {
		if m.Role == "" {
			return nil, fieldErr("messages", "message %d has no role", i)
		}
		texts := []string{m.Role, m.Content, m.Name, m.ToolCallID}
		for _, call := range m.ToolCalls {
			texts = append(texts, call.ID, call.Name, call.Arguments)
		}
		for _, text := range texts {
			if err := validUTF8(fmt.Sprintf("messages[%d]", i), text); err != nil {
				return nil, err
			}
		}
	}
	text, err := s.model.Template.Render(chat, addGenerationPrompt)
	if err != nil {
		return nil, fieldErr("messages", "the model's chat template can't render them: %v", err)
	}
	// The template writes the special tokens itself; the tokenizer adds none
	// unless it is told to.
	ids, err := s.encode(text, addSpecial)
	var fe *FieldError
	if errors.As(err, &fe) {
		fe.Field = "messages"
	}
	return ids, err
}

// TokenizeRequest asks for the token ids of a Text or a Chat.
type TokenizeRequest struct {
	Model string
	// Input is a Text or a Chat.
	Input Prompt
	// AddSpecialTokens adds BOS or EOS where the model's files say so. It
	// defaults to true for a Text and to false for a Chat, whose template
	// writes them itself.
	AddSpecialTokens *bool
	// NoGenerationPrompt leaves out the assistant's marker after a Chat.
	NoGenerationPrompt bool
}

// Tokenize turns text into ids. It may give more of them than the context holds.
func (s *Service) Tokenize(r TokenizeRequest) ([]int32, error) {
	if _, err := s.Model(r.Model); err != nil {
		return nil, err
	}
	special := func(d bool) bool {
		if r.AddSpecialTokens != nil {
			return *r.AddSpecialTokens
		}
		return d
	}
	switch in := r.Input.(type) {
	case Text:
		return s.encode(string(in), special(true))
	case Chat:
		if len(in.Tools) > 0 {
			if err := s.checkTools(in.Tools); err != nil {
				return nil, err
			}
		}
		return s.encodeChat(in, !r.NoGenerationPrompt, special(false))
	default:
		return nil, fieldErr("prompt", "is missing")
	}
}

// Detokenize turns ids into text; broken UTF-8 shows as U+FFFD.
func (s *Service) Detokenize(model string, ids []int32, skipSpecial bool) (string, error) {
	if _, err := s.Model(model); err != nil {
		return "", err
	}
	if s.model.Tokenizer == nil {
		return "", s.noTokenizer()
	}
	if err := s.validIDs("tokens", ids); err != nil {
		return "", err
	}
	return s.model.Tokenizer.Decode(ids, skipSpecial), nil
}
