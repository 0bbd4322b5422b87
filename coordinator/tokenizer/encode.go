package tokenizer

import (
	"fmt"
	"sync"
	"unicode/utf8"
)

// EncodeOptions says what Encode does beyond plain text. The zero value is the safe
// one for text that a user wrote.
type EncodeOptions struct {
	// AddSpecial adds the tokens that the file's post-processor adds, such as BOS.
	// It is add_special_tokens of Hugging Face. Rendered chat templates carry
	// their own and want it off.
	AddSpecial bool
	// ParseSpecial lets special tokens written out in the text become themselves;
	// else they are ordinary text. It is the opposite of split_special_tokens of
	// Hugging Face, whose default parses them. Added tokens that are not special,
	// such as EXAONE's runs of spaces, are always recognised.
	ParseSpecial bool
}

// InvalidUTF8Error is Encode's complaint about bytes that are no text.
type InvalidUTF8Error struct{ Offset int }

func (e *InvalidUTF8Error) Error() string {
	return fmt.Sprintf("text is not valid UTF-8 at byte %d", e.Offset)
}

// maxTextBytes keeps positions in 32 bits, with room for what normalizing adds.
const maxTextBytes = 64 << 20

// Encode returns the ids of text. It fails on text that is not valid UTF-8
// ([InvalidUTF8Error]) or longer than 64 MiB.
func (t *Tokenizer) Encode(text string, opts EncodeOptions) ([]int32, error) {
	if len(text) > maxTextBytes {
		return nil, fmt.Errorf("text of %d bytes is longer than %d", len(text), maxTextBytes)
	}
	if !utf8.ValidString(text) {
		return nil, &InvalidUTF8Error{Offset: invalidAt(text)}
	}
	s := encodePool.Get().(*encodeScratch)
	ids, err := t.encode(make([]int32, 0, len(text)/3+8), s, text, opts)
	s.release()
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func (t *Tokenizer) encode(ids []int32, s *encodeScratch, text string, opts EncodeOptions) ([]int32, error) {
	if opts.AddSpecial {
		ids = append(ids, t.template.before...)
	}
	s.raw = t.added.raw.cuts(s.raw[:0], text, !opts.ParseSpecial)
	for _, c := range s.raw {
		if c.token != nil {
			ids = append(ids, c.token.ID)
			continue
		}
		part := normalize(t.normalizers, text[c.start:c.end])
		s.normal = t.added.normal.cuts(s.normal[:0], part, !opts.ParseSpecial)
		for _, d := range s.normal {
			if d.token != nil {
				ids = append(ids, d.token.ID)
				continue
			}
			var err error
			if ids, err = t.encodePlain(ids, s, part[d.start:d.end], c.start == 0 && d.start == 0); err != nil {
				return nil, err
			}
		}
	}
	if opts.AddSpecial {
		ids = append(ids, t.template.after...)
	}
	return ids, nil
}

// encodePlain is for text without added tokens. first says that it begins the text.
func (t *Tokenizer) encodePlain(ids []int32, s *encodeScratch, text string, first bool) ([]int32, error) {
	words, next := append(s.words[:0], text), s.next
	for _, step := range t.preTokenizers {
		next = next[:0]
		var err error
		for i, word := range words {
			if next, err = step.split(next, word, first && i == 0); err != nil {
				return nil, err
			}
		}
		words, next = next, words
	}
	for _, word := range words {
		ids = t.bpe.encode(ids, word)
	}
	s.words, s.next = words, next
	return ids, nil
}

// encodeScratch is the memory of one Encode.
type encodeScratch struct {
	raw, normal []cut
	words, next []string
}

var encodePool = sync.Pool{New: func() any { return new(encodeScratch) }}

// release gives the scratch back without the strings, which would keep prompts
// alive, and not at all after a huge text.
func (s *encodeScratch) release() {
	if cap(s.words) > keepScratch || cap(s.next) > keepScratch || cap(s.raw) > keepScratch {
		return
	}
	clear(s.words[:cap(s.words)])
	clear(s.next[:cap(s.next)])
	encodePool.Put(s)
}

func invalidAt(s string) int {
	for i, r := range s {
		if r != utf8.RuneError {
			continue
		}
		if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
			return i
		}
	}
	return len(s)
}
