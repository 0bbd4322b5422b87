package tokenizer

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// class is what the splitting patterns ask of a character.
type class uint8

const (
	other  class = iota
	letter       // \p{L}
	number       // \p{N}
	space        // \s
)

// bmpClasses spares three searches in range tables for each character.
var bmpClasses = sync.OnceValue(func() *[0x10000]class {
	var t [0x10000]class
	for r := range t {
		t[r] = computeClass(rune(r))
	}
	return &t
})

func computeClass(r rune) class {
	switch {
	case isLetter(r):
		return letter
	case isNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

// classes reads classes of characters from a string.
type classes struct{ bmp *[0x10000]class }

// at returns the class and length of the character at s[i].
func (c classes) at(s string, i int) (class, int) {
	if b := s[i]; b < utf8.RuneSelf {
		return c.bmp[b], 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	if r < 0x10000 {
		return c.bmp[r], n
	}
	return computeClass(r), n
}

// skip returns the end of the run of class want that begins at s[i].
func (c classes) skip(s string, i int, want class) int {
	for i < len(s) {
		k, n := c.at(s, i)
		if k != want {
			break
		}
		i += n
	}
	return i
}
