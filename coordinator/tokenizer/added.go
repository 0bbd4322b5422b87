package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// addedToken is a token that is cut out of the text before anything else happens.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no word character touches it
	LStrip     bool   `json:"lstrip"`      // takes the white space before it along
	RStrip     bool   `json:"rstrip"`      // takes the white space after it along
	Normalized *bool  `json:"normalized"`  // sought in the normalized text, not the raw
	Special    bool   `json:"special"`
}

// normalized defaults to true for ordinary tokens and to false for special ones.
func (a *addedToken) normalized() bool {
	if a.Normalized == nil {
		return !a.Special
	}
	return *a.Normalized
}

// addedMatcher cuts added tokens out in two passes: those sought in the raw text,
// then those sought in the normalized text between them.
type addedMatcher struct {
	raw, normal *cutter
}

func newAddedMatcher(tokens []addedToken, normalizers []normalizer) addedMatcher {
	m := addedMatcher{raw: newCutter(), normal: newCutter()}
	for i := range tokens {
		a := &tokens[i]
		if a.normalized() {
			m.normal.add(normalize(normalizers, a.Content), a)
		} else {
			m.raw.add(a.Content, a)
		}
	}
	return m
}

// cut is a stretch of text: an added token, or (token nil) the text between two.
type cut struct {
	token      *addedToken
	start, end int
}

// cutter finds tokens in a text, leftmost first and of those the longest, by
// walking a trie from every byte that can begin one.
type cutter struct {
	first [256]int32 // node reached by the first byte, or 0
	nodes []trieNode // nodes[0] is unused
}

// trieNode keeps its children as a list of siblings: most nodes have one child.
type trieNode struct {
	token       *addedToken // ends here, or nil
	child, next int32
	b           byte
}

func newCutter() *cutter { return &cutter{nodes: make([]trieNode, 1)} }

func (c *cutter) add(text string, a *addedToken) {
	if text == "" {
		return
	}
	at := &c.first[text[0]]
	for i := 0; ; i++ {
		if *at == 0 {
			c.nodes = append(c.nodes, trieNode{b: text[i]})
			n := int32(len(c.nodes) - 1)
			*at = n
		}
		n := *at
		if i+1 == len(text) {
			c.nodes[n].token = a
			return
		}
		child := c.nodes[n].child
		for child != 0 && c.nodes[child].b != text[i+1] {
			child = c.nodes[child].next
		}
		if child == 0 {
			c.nodes = append(c.nodes, trieNode{b: text[i+1], next: c.nodes[n].child})
			child = int32(len(c.nodes) - 1)
			c.nodes[n].child = child
		}
		at = &child
	}
}

// longest returns the longest token that begins at text[i], and its end.
func (c *cutter) longest(text string, i int) (token *addedToken, end int) {
	n := c.first[text[i]]
	for n != 0 {
		i++
		if c.nodes[n].token != nil {
			token, end = c.nodes[n].token, i
		}
		if i == len(text) {
			break
		}
		n = c.nodes[n].child
		for n != 0 && c.nodes[n].b != text[i] {
			n = c.nodes[n].next
		}
	}
	return token, end
}

// cuts appends the cuts of text to dst. With skipSpecial, special tokens are left
// in the text as if they were ordinary words.
func (c *cutter) cuts(dst []cut, text string, skipSpecial bool) []cut {
	done := 0
	for i := 0; i < len(text); {
		if c.first[text[i]] == 0 {
			i++
			continue
		}
		token, end := c.longest(text, i)
		if token == nil {
			i++
			continue
		}
		start := i
		i = end // also past a match that is turned down
		if skipSpecial && token.Special {
			continue
		}
		if token.SingleWord && (endsInWord(text[:start]) || startsWithWord(text[end:])) {
			continue
		}
		if token.LStrip {
			start = max(trimmedEnd(text[:start]), done)
		}
		if token.RStrip {
			end += spacePrefix(text[end:])
		}
		if done < start {
			dst = append(dst, cut{start: done, end: start})
		}
		dst = append(dst, cut{token: token, start: start, end: end})
		done = end
	}
	if done < len(text) {
		dst = append(dst, cut{start: done, end: len(text)})
	}
	return dst
}

func endsInWord(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && isWordRune(r)
}

func startsWithWord(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && isWordRune(r)
}

// isWordRune is \w of Unicode regular expressions (UTS 18, annex C).
func isWordRune(r rune) bool {
	return isLetter(r) || unicode.IsMark(r) || unicode.Is(unicode.Nd, r) || unicode.Is(numbers16, r) || unicode.Is(unicode.Nl, r) ||
		unicode.Is(unicode.Pc, r) || unicode.Is(unicode.Other_Alphabetic, r) || unicode.Is(unicode.Join_Control, r)
}

// trimmedEnd is the length of s without the white space at its end.
func trimmedEnd(s string) int {
	for len(s) > 0 {
		r, n := utf8.DecodeLastRuneInString(s)
		if !unicode.IsSpace(r) {
			break
		}
		s = s[:len(s)-n]
	}
	return len(s)
}

// spacePrefix is the length of the white space that s begins with.
func spacePrefix(s string) int {
	for i, r := range s {
		if !unicode.IsSpace(r) {
			return i
		}
	}
	return len(s)
}
