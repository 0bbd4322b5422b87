package tokenizer

import "unicode/utf8"

// The patterns of Llama 3 and of Qwen 2 differ in how many digits make a word.
const (
	cl100kHead   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|`
	cl100kTail   = `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternLlama = cl100kHead + `\p{N}{1,3}` + cl100kTail
	patternQwen  = cl100kHead + `\p{N}` + cl100kTail
)

// splitCL100K emits the words of s, with at most maxDigits numeric characters in
// one. Every character belongs to a word.
func splitCL100K(s string, maxDigits int, first bool, emit emit) {
	c := classes{bmpClasses()}
	for i := 0; i < len(s); {
		end := i + contraction(s[i:], true)
		if end == i {
			end = c.wordCL100K(s, i, maxDigits)
		}
		emit(s[i:end], first && i == 0)
		i = end
	}
}

func (c classes) wordCL100K(s string, i, maxDigits int) int {
	k, n := c.at(s, i)
	switch k {
	case letter:
		return c.skip(s, i+n, letter)
	case number:
		for end, digits := i+n, 1; ; digits++ {
			if end == len(s) || digits == maxDigits {
				return end
			}
			k, n := c.at(s, end)
			if k != number {
				return end
			}
			end += n
		}
	}
	// One character that is neither a line's end, letter nor number may lead a word.
	if next := i + n; next < len(s) && s[i] != '\r' && s[i] != '\n' {
		if k, n := c.at(s, next); k == letter {
			return c.skip(s, next+n, letter)
		}
	}
	at := i
	if s[i] == ' ' && i+1 < len(s) {
		at++
	}
	if k, n := c.at(s, at); k == other {
		return skipLineEnds(s, c.skip(s, at+n, other))
	}
	if end := c.lastLineEnd(s, i); end > i {
		return end
	}
	return c.spaces(s, i)
}

func skipLineEnds(s string, i int) int {
	for i < len(s) && (s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}

// lastLineEnd is \s*[\r\n]+: the end of the last line end in the run of white
// space at s[i], or i.
func (c classes) lastLineEnd(s string, i int) int {
	end := i
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		if k, _ := c.at(s, i); k != space {
			break
		}
		i += n
		if r == '\r' || r == '\n' {
			end = i
		}
	}
	return end
}
