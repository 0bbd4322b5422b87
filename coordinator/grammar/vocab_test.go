package grammar

import (
	"bytes"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/sullae/sullae/coordinator/tokenizer"
)

// tokenList is a vocabulary as a list; token 0 ends a text.
type tokenList [][]byte

func (l tokenList) Size() int                  { return len(l) }
func (l tokenList) TokenBytes(id int32) []byte { return l[id] }

// demoVocab is the vocabulary of the built-in model's tokenizer.
var demoVocab = sync.OnceValue(func() *Vocab {
	t, err := tokenizer.Read(os.DirFS("../tokenizer/testdata"))
	if err != nil {
		panic(err)
	}
	list := make(tokenList, t.VocabSize())
	for id := range list {
		if b, ok := t.TokenBytes(int32(id)); ok && !t.IsSpecial(int32(id)) {
			list[id] = b
		}
	}
	eos, ok := t.EOS()
	if !ok {
		panic("the tokenizer has no end token")
	}
	return NewVocabulary(list, []int32{eos})
})

// bigList has the shape of a byte-level BPE vocabulary of a bilingual model: all single
// bytes, then ever longer joins of pieces, of Latin words, Hangul, code and digits.
func bigList(size int) tokenList {
	rng := rand.New(rand.NewPCG(1, 2))
	list := tokenList{nil, nil, nil}
	seen := map[string]bool{}
	add := func(s string) {
		if s != "" && !seen[s] && len(list) < size {
			seen[s] = true
			list = append(list, []byte(s))
		}
	}
	for b := range 256 {
		add(string([]byte{byte(b)}))
	}
	for n := range 1000 {
		add(strconv.Itoa(n))
	}
	for n := 2; n <= 64; n *= 2 {
		add(string(bytes.Repeat([]byte{' '}, n)))
		add(string(bytes.Repeat([]byte{'='}, n)))
	}
	for _, s := range []string{`":`, `",`, `"}`, `{"`, `":"`, `","`, `"]`, `": "`, `": `, `", "`, "},\n", "\n\n", `\"`, `\n`, `\u`, `"]}`, `[]`, `{}`, "\"\n", ",\n"} {
		add(s)
	}
	syllable := func() string { return string(rune('가' + rng.IntN(11172))) }
	vowels, consonants := "aeiou", "bcdfghklmnprstvwyz"
	word := func() string {
		w := ""
		for range 1 + rng.IntN(3) {
			w += string(consonants[rng.IntN(len(consonants))]) + string(vowels[rng.IntN(5)])
			if rng.IntN(2) == 0 {
				w += string(consonants[rng.IntN(len(consonants))])
			}
		}
		return w
	}
	ends := []string{"", "", "", "", "ing", "ed", "s", ".", ",", "(", ")", "\"", "\":", "_", "/", ";\n", "'", "'s", "\",", "=\""}
	for len(list) < size {
		s := ""
		if rng.IntN(2) == 0 {
			s = " "
		}
		if rng.IntN(5) < 2 {
			for range 1 + rng.IntN(4) {
				s += syllable()
			}
			if rng.IntN(8) == 0 { // a token may end inside a character
				s += syllable()[:1+rng.IntN(2)]
			}
		} else {
			w := word()
			if rng.IntN(4) == 0 {
				w = string(w[0]-32) + w[1:]
			}
			s += w
		}
		add(s + ends[rng.IntN(len(ends))])
	}
	return list
}

var bigVocab = sync.OnceValue(func() *Vocab { return NewVocabulary(bigList(102400), []int32{2}) })

func TestVocabularyTrie(t *testing.T) {
	list := tokenList{nil, []byte("b"), []byte("가"), []byte("a"), []byte("ab"), []byte("가")[:2], []byte("a"), []byte("end")}
	v := NewVocabulary(list, []int32{7, 7, -1, 99})
	found := map[int32]string{}
	var path []byte
	for n := int32(1); n < int32(len(v.label)); n++ {
		path = append(path[:v.depth[n]-1], v.label[n])
		for _, id := range v.ids[v.idStart[n]:v.idStart[n+1]] {
			found[id] = string(path)
		}
		if v.after[n] <= n || v.after[n] > int32(len(v.label)) {
			t.Errorf("node %d ends at %d", n, v.after[n])
		}
	}
	for id, b := range list {
		if len(b) == 0 || id == 7 {
			if _, ok := found[int32(id)]; ok {
				t.Errorf("token %d is in the trie", id)
			}
			continue
		}
		if found[int32(id)] != string(b) {
			t.Errorf("token %d is %q, want %q", id, found[int32(id)], b)
		}
	}
	if !slices.Equal(v.ends, []int32{7}) || v.longest != 3 {
		t.Errorf("ends %v, longest %d", v.ends, v.longest)
	}
}
