package grammar

import (
	"bytes"
	"slices"
)

// Vocabulary is what a grammar has to know of a tokenizer.
type Vocabulary interface {
	// Size is the largest id plus one.
	Size() int
	// TokenBytes are the bytes that a token stands for inside a text; none for
	// special tokens and for ids without a token, which grammars never allow.
	TokenBytes(id int32) []byte
}

// Vocab is a vocabulary prepared for grammars: a trie over the bytes of its tokens. It
// does not change; all grammars share it.
type Vocab struct {
	size   int
	ends   []int32
	tokens [][]byte
	// The trie, its nodes in depth-first order: node i holds one byte, stands below
	// node depth[i]-1 steps from the root (node 0), and its subtree is [i, after[i]).
	label []byte
	depth []uint16
	after []int32
	// ids[idStart[i]:idStart[i+1]] are the tokens that end at node i.
	idStart []int32
	ids     []int32
	longest int
	// text[i]: the subtree of i is plain text, of at most chars[i] characters; see text.go.
	text  []bool
	chars []uint16
}

// maxTokenBytes is the longest token that grammars can use.
const maxTokenBytes = 1 << 12

// NewVocabulary prepares a vocabulary. ends are the tokens that end a text: they are
// allowed where the grammar is complete and nowhere else, whatever their bytes.
func NewVocabulary(v Vocabulary, ends []int32) *Vocab {
	t := &Vocab{size: v.Size(), tokens: make([][]byte, v.Size())}
	for _, id := range ends {
		if id >= 0 && int(id) < t.size && !slices.Contains(t.ends, id) {
			t.ends = append(t.ends, id)
		}
	}
	slices.Sort(t.ends)
	order := make([]int32, 0, t.size)
	for id := range int32(t.size) {
		if b := v.TokenBytes(id); len(b) > 0 && len(b) <= maxTokenBytes && !slices.Contains(t.ends, id) {
			t.tokens[id] = bytes.Clone(b)
			t.longest = max(t.longest, len(b))
			order = append(order, id)
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		if c := bytes.Compare(t.tokens[a], t.tokens[b]); c != 0 {
			return c
		}
		return int(a - b)
	})
	t.build(order)
	t.findText()
	return t
}

func (t *Vocab) build(order []int32) {
	var path []int32 // nodes from the root to the last one
	add := func(b byte) {
		path = append(path, int32(len(t.label)))
		t.label = append(t.label, b)
		t.depth = append(t.depth, uint16(len(path)-1))
		t.after = append(t.after, 0)
		t.idStart = append(t.idStart, int32(len(t.ids)))
	}
	closeTo := func(depth int) {
		for len(path) > depth {
			t.after[path[len(path)-1]] = int32(len(t.label))
			path = path[:len(path)-1]
		}
	}
	add(0)
	var last []byte
	for _, id := range order {
		b := t.tokens[id]
		same := 0
		for same < len(b) && same < len(last) && b[same] == last[same] {
			same++
		}
		closeTo(same + 1)
		for _, c := range b[same:] {
			add(c)
		}
		t.ids = append(t.ids, id)
		last = b
	}
	closeTo(0)
	t.idStart = append(t.idStart, int32(len(t.ids)))
}

// Size is the number of token ids; a mask has one bit for each.
func (t *Vocab) Size() int { return t.size }

// MaskWords is the length of a mask.
func (t *Vocab) MaskWords() int { return (t.size + 63) / 64 }

// isEnd says whether a token ends a text.
func (t *Vocab) isEnd(id int32) bool { return slices.Contains(t.ends, id) }
