package tokenizer

import "unicode/utf8"

// patternGPT2 is what splitGPT2 does, as published with GPT-2.
const patternGPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// splitGPT2 emits the words of s. Every character belongs to a word.
func splitGPT2(s string, first bool, emit emit) {
	c := classes{bmpClasses()}
	for i := 0; i < len(s); {
		end := i + contraction(s[i:], false)
		if end == i {
			end = c.wordGPT2(s, i)
		}
		emit(s[i:end], first && i == 0)
		i = end
	}
}

func (c classes) wordGPT2(s string, i int) int {
	at := i
	if s[i] == ' ' && i+1 < len(s) {
		at++ // " ?" in front of a word
	}
	k, n := c.at(s, at)
	if k != space {
		return c.skip(s, at+n, k)
	}
	return c.spaces(s, i)
}

// spaces is \s+(?!\S)|\s+ at s[i], a space: a run of white space leaves its last
// character to the word that follows, unless it is a single character.
func (c classes) spaces(s string, i int) int {
	end := c.skip(s, i, space)
	if end == len(s) {
		return end
	}
	_, n := utf8.DecodeLastRuneInString(s[i:end])
	if end-n == i {
		return end
	}
	return end - n
}

// contraction is the length of 's 't 're 've 'm 'll 'd at the start of s, or 0.
// Folding case, it knows that ſ (U+017F) is an s.
func contraction(s string, fold bool) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	lower := func(b byte) byte {
		if fold && 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		return b
	}
	switch b := lower(s[1]); b {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v', 'l':
		want := byte('e')
		if b == 'l' {
			want = 'l'
		}
		if len(s) > 2 && lower(s[2]) == want {
			return 3
		}
	default:
		if fold && len(s) > 2 && s[1:3] == "ſ" {
			return 3
		}
	}
	return 0
}
