package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// bpe is the byte-pair model: a word begins as one symbol per byte (byteLevel) or
// per character, and the pair of neighbours with the lowest rank is merged, the
// leftmost first, until no pair has a merge.
type bpe struct {
	merges    *mergeTable
	byteLevel bool
	byteIDs   [256]int32     // byteLevel: the symbol of each byte, or none
	charIDs   map[rune]int32 // otherwise: the symbol of each character
	fallback  *[256]int32    // the ids of <0x00> ... <0xFF>, for characters without one
	unk       int32          // for what has neither, or none: then it vanishes
	fuseUnk   bool
	whole     map[string]int32 // ignore_merges: words that are tokens as they stand
	cache     *wordCache
}

// none is the id of a missing token.
const none = int32(-1)

func newBPE(n node, f modelFile, byteLevel bool) (*bpe, error) {
	m := &bpe{byteLevel: byteLevel, unk: none, fuseUnk: f.FuseUnk, cache: newWordCache()}
	if f.UnkToken != nil && *f.UnkToken != "" {
		id, ok := f.Vocab[*f.UnkToken]
		if !ok {
			return nil, n.key("unk_token", nil).errorf("%q is not in the vocabulary", *f.UnkToken)
		}
		m.unk = id
	}
	m.merges = newMergeTable(len(f.merges))
	for rank, pair := range f.merges {
		var ids [3]int32
		for i, text := range []string{pair[0], pair[1], pair[0] + pair[1]} {
			id, ok := f.Vocab[text]
			if !ok {
				return nil, n.key(fmt.Sprintf("merges[%d]", rank), nil).errorf("token %q is not in the vocabulary", text)
			}
			ids[i] = id
		}
		m.merges.put(ids[0], ids[1], merge{rank: uint32(rank), id: ids[2]})
	}
	m.setSymbols(f)
	if f.ByteFallback {
		m.setFallback(f)
	}
	if f.IgnoreMerges {
		m.setWhole(f)
	}
	return m, nil
}

func (m *bpe) setSymbols(f modelFile) {
	if m.byteLevel {
		for b, r := range charOfByte {
			m.byteIDs[b] = none
			if id, ok := f.Vocab[string(r)]; ok {
				m.byteIDs[b] = id
			}
		}
		return
	}
	m.charIDs = map[rune]int32{}
	for text, id := range f.Vocab {
		if r, n := utf8.DecodeRuneInString(text); n > 0 && n == len(text) {
			m.charIDs[r] = id
		}
	}
}

// setFallback needs all 256 bytes: a character falls back as a whole or not at all,
// and files that have the flag have all of them.
func (m *bpe) setFallback(f modelFile) {
	var ids [256]int32
	for b := range ids {
		id, ok := f.Vocab[fmt.Sprintf("<0x%02X>", b)]
		if !ok {
			id = none
		}
		ids[b] = id
	}
	m.fallback = &ids
}

// setWhole keys the vocabulary by what words are made of.
func (m *bpe) setWhole(f modelFile) {
	m.whole = make(map[string]int32, len(f.Vocab))
	for text, id := range f.Vocab {
		if !m.byteLevel {
			m.whole[text] = id
		} else if raw, ok := unmapBytes(text); ok {
			m.whole[raw] = id
		}
	}
}

// encode appends the ids of one word to dst.
func (m *bpe) encode(dst []int32, word string) []int32 {
	if m.whole != nil {
		if id, ok := m.whole[word]; ok {
			return append(dst, id)
		}
	}
	if len(word) > maxCachedWord {
		return m.merge(dst, word)
	}
	if ids, ok := m.cache.get(word); ok {
		return append(dst, ids...)
	}
	from := len(dst)
	dst = m.merge(dst, word)
	m.cache.put(word, dst[from:])
	return dst
}

func (m *bpe) merge(dst []int32, word string) []int32 {
	from := len(dst)
	dst = m.symbols(dst, word)
	n := m.mergeSymbols(dst[from:])
	return dst[:from+n]
}

// symbols appends the symbols that word begins as.
func (m *bpe) symbols(dst []int32, word string) []int32 {
	unks := false // the last symbol is an unk that may take more in
	add := func(id int32, char string) {
		switch {
		case id != none:
			dst, unks = append(dst, id), false
		case m.canFallBack(char):
			for _, b := range []byte(char) {
				dst = append(dst, m.fallback[b])
			}
			unks = false
		case m.unk != none && !(unks && m.fuseUnk):
			dst, unks = append(dst, m.unk), true
		}
	}
	if m.byteLevel {
		for _, b := range []byte(word) {
			if id := m.byteIDs[b]; id != none {
				dst, unks = append(dst, id), false
			} else {
				add(none, string(charOfByte[b]))
			}
		}
		return dst
	}
	for i, r := range word {
		id, ok := m.charIDs[r]
		if !ok {
			id = none
		}
		add(id, word[i:i+utf8.RuneLen(r)])
	}
	return dst
}

func (m *bpe) canFallBack(char string) bool {
	if m.fallback == nil {
		return false
	}
	for _, b := range []byte(char) {
		if m.fallback[b] == none {
			return false
		}
	}
	return true
}
