package tokenizer

import "strings"

// The byte alphabet of GPT-2 gives every byte a printable character: itself where
// Latin-1 prints it, else the next free one from U+0100 on. Vocabularies are
// written in it; here words stay bytes, and only vocabularies are translated.
var (
	charOfByte [256]rune
	byteOfChar = map[rune]byte{}
)

func init() {
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if !('!' <= r && r <= '~' || 0xA1 <= r && r <= 0xAC || 0xAE <= r && r <= 0xFF) {
			r = next
			next++
		}
		charOfByte[b] = r
		byteOfChar[r] = byte(b)
	}
}

// unmapBytes turns a text in the byte alphabet into the bytes it stands for.
func unmapBytes(text string) (string, bool) {
	buf := make([]byte, 0, len(text))
	for _, r := range text {
		b, ok := byteOfChar[r]
		if !ok {
			return "", false
		}
		buf = append(buf, b)
	}
	return string(buf), true
}

// bytesOfToken is unmapBytes for a token to be decoded: one with a character
// outside the alphabet (an added token such as "<한국어>") stands for itself.
func bytesOfToken(text string) string {
	if raw, ok := unmapBytes(text); ok {
		return raw
	}
	return text
}

// byteLevel cuts words by GPT-2's pattern. That the words then are read as bytes
// is the model's part.
type byteLevel struct {
	addPrefixSpace bool
	useRegex       bool
}

func (p byteLevel) split(s string, first bool, emit emit) error {
	if p.addPrefixSpace && !strings.HasPrefix(s, " ") {
		s = " " + s
	}
	if p.useRegex {
		splitGPT2(s, first, emit)
	} else {
		emit(s, first)
	}
	return nil
}
