package gateway

import (
	"time"

	"github.com/sullae/sullae/coordinator/toolcall"
)

// Model is what the edges know of the served model.
type Model struct {
	Name         string
	Architecture string
	Created      time.Time
	// MaxLen is the context: the most tokens of a prompt and its continuation.
	MaxLen int
	// Vocab is how many token ids there are; a prompt's ids are below it.
	Vocab int
	// EOS are the end-of-sequence tokens, any of which ends a choice.
	EOS []int32
	// Tokenizer is nil where the model is served for token ids alone.
	Tokenizer Tokenizer
	// Template is nil where the model's files have no chat template.
	Template Template
	// ToolFormat is how the model writes calls of tools.
	ToolFormat toolcall.Format
	// TokenizerConfig is tokenizer_config.json's object, for clients that
	// tokenize or render by themselves. May be nil.
	TokenizerConfig map[string]any
}

// Tokenizer turns text into token ids and back. Implementations are safe for
// concurrent use.
type Tokenizer interface {
	// Encode fails on text that is not UTF-8.
	Encode(text string, addSpecial bool) ([]int32, error)
	// Decode shows broken UTF-8 as U+FFFD.
	Decode(ids []int32, skipSpecial bool) string
	// TokenBytes are the bytes that a token stands for, perhaps a part of a
	// character; nil for an id without a token.
	TokenBytes(id int32) []byte
	// IsSpecial tells tokens that stand for no text.
	IsSpecial(id int32) bool
	NewStreamDecoder(skipSpecial bool) StreamDecoder
}

// StreamDecoder decodes a sequence token by token. It has one user at a time.
type StreamDecoder interface {
	// Push takes a token and is the text that the token completes: whole characters only, "" while
	// one is unfinished.
	Push(id int32) string
	// Flush is what is left at the end: U+FFFD for a character cut short.
	Flush() string
}

// Template renders a conversation into a prompt. Its errors are the request's
// (a role that the model doesn't know, say). Safe for concurrent use.
type Template interface {
	Render(c Chat, addGenerationPrompt bool) (string, error)
}
