package tokenizer

import (
	"fmt"
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
	s, ok := t.scratch.Get().(*encodeScratch)
	if !ok {
		s = newEncodeScratch(t)
	}
	defer s.release()
	s.ids = make([]int32, 0, len(text)/3+8)
	if err := s.encode(text, opts); err != nil {
		return nil, err
	}
	return s.ids, nil
}

func (s *encodeScratch) encode(text string, opts EncodeOptions) error {
	t := s.t
	if opts.AddSpecial {
		s.ids = append(s.ids, t.template.before...)
	}
	s.raw = t.added.raw.cuts(s.raw[:0], text, !opts.ParseSpecial)
	for _, c := range s.raw {
		if c.token != nil {
			s.ids = append(s.ids, c.token.ID)
			continue
		}
		part := normalize(t.normalizers, text[c.start:c.end])
		s.normal = t.added.normal.cuts(s.normal[:0], part, !opts.ParseSpecial)
		for _, d := range s.normal {
			if d.token != nil {
				s.ids = append(s.ids, d.token.ID)
				continue
			}
			if err := s.encodePlain(part[d.start:d.end], c.start == 0 && d.start == 0); err != nil {
				return err
			}
		}
	}
	if opts.AddSpecial {
		s.ids = append(s.ids, t.template.after...)
	}
	return nil
}

// encodePlain is for text without added tokens. first says that it begins the text.
func (s *encodeScratch) encodePlain(text string, first bool) error {
	s.err = nil
	s.into[0](text, first)
	return s.err
}

// encodeScratch is what one Encode works with, to be used again.
type encodeScratch struct {
	t           *Tokenizer
	raw, normal []cut
	ids         []int32
	err         error
	into        []emit // into[i] is what goes into pre-tokenizer i; the last goes to the model
}

func newEncodeScratch(t *Tokenizer) *encodeScratch {
	s := &encodeScratch{t: t, into: make([]emit, len(t.preTokenizers)+1)}
	s.into[len(t.preTokenizers)] = func(word string, _ bool) {
		s.ids = t.bpe.encode(s.ids, word)
	}
	for i, step := range t.preTokenizers {
		s.into[i] = func(word string, first bool) {
			if s.err != nil {
				return
			}
			if err := step.split(word, first, s.into[i+1]); err != nil {
				s.err = err
			}
		}
	}
	return s
}

// release gives the scratch back, but not what a huge text needed.
func (s *encodeScratch) release() {
	s.ids = nil
	if cap(s.raw) <= keepScratch && cap(s.normal) <= keepScratch {
		s.t.scratch.Put(s)
	}
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
