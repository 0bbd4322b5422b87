package tokenizer

import "sync"

// Tokenizer is a loaded tokenizer. It does not change, and is safe for concurrent use.
type Tokenizer struct {
	vocab         *vocab
	added         addedMatcher
	normalizers   []normalizer
	preTokenizers []preTokenizer
	bpe           *bpe
	template      template
	decoder       decoder
	bos, eos      int32
	cfg           config
	scratch       sync.Pool // of *encodeScratch
}

// VocabSize is the largest id plus one: how long a row of logits has to be at least.
func (t *Tokenizer) VocabSize() int { return len(t.vocab.texts) }

// Entries is the number of tokens, which is less than VocabSize where ids have holes.
func (t *Tokenizer) Entries() int { return len(t.vocab.ids) }

// IDToToken returns the token as the vocabulary writes it; in a byte-level one that
// is the byte alphabet, "Ġhello" for " hello".
func (t *Tokenizer) IDToToken(id int32) (string, bool) {
	if !t.vocab.lookup(id) {
		return "", false
	}
	return t.vocab.texts[id], true
}

// TokenToID is the reverse of IDToToken.
func (t *Tokenizer) TokenToID(token string) (int32, bool) {
	id, ok := t.vocab.ids[token]
	return id, ok
}

// TokenBytes returns the bytes that a token stands for inside a text; they need
// not be whole characters.
func (t *Tokenizer) TokenBytes(id int32) ([]byte, bool) {
	if !t.vocab.lookup(id) {
		return nil, false
	}
	return t.decoder.tokenBytes(t.vocab.pieces[id]), true
}

// IsSpecial says whether id is a special token, which decoding can skip.
func (t *Tokenizer) IsSpecial(id int32) bool {
	return t.vocab.lookup(id) && t.vocab.special[id]
}

// BOS is the token that begins a text, if the folder names one. Encode adds it only
// where the folder says so.
func (t *Tokenizer) BOS() (id int32, ok bool) { return t.bos, t.bos >= 0 }

// EOS is the token that ends a text, if the folder names one.
func (t *Tokenizer) EOS() (id int32, ok bool) { return t.eos, t.eos >= 0 }

// BOSToken and EOSToken are their texts, "" where there is none: what a chat
// template knows as bos_token and eos_token.
func (t *Tokenizer) BOSToken() string { return string(t.cfg.BOSToken) }
func (t *Tokenizer) EOSToken() string { return string(t.cfg.EOSToken) }

// ChatTemplate is the folder's default chat template, or "".
func (t *Tokenizer) ChatTemplate() string { return t.cfg.ChatTemplate[defaultTemplate] }

// NamedChatTemplate is one of several templates, such as "tool_use".
func (t *Tokenizer) NamedChatTemplate(name string) (string, bool) {
	s, ok := t.cfg.ChatTemplate[name]
	return s, ok
}
