package grammar

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// testGrammars are grammars of all kinds, small enough to try every token.
func testGrammars(t testing.TB) map[string]*Grammar {
	t.Helper()
	out := map[string]*Grammar{}
	add := func(name string, g *Grammar, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = g
	}
	for _, c := range schemaCases(t) {
		g, err := CompileJSONSchema(c.Schema, Options{})
		add(c.Name, g, err)
	}
	g, err := CompileJSONObject()
	add("object", g, err)
	for _, p := range []string{`[가-힣]{2,5}( [가-힣]+)*`, `(a|ab)(c|bcd)*`, `.{3,9}`, `\d+(\.\d+)?|없음`} {
		g, err := CompileRegex(p)
		add(p, g, err)
	}
	g, err = CompileChoice([]string{"예", "예요", "아니요", "yes", "yesterday", ""})
	add("choice", g, err)
	for name, text := range map[string]string{
		"left recursion":  `root ::= root " " word | word` + "\n" + `word ::= [a-z가-힣]+`,
		"right recursion": `root ::= word " " root | word` + "\n" + `word ::= [a-z가-힣]+`,
		"ambiguous":       `root ::= root root | "a" | "b" root "c" | "한"`,
		"nullable":        `root ::= a b a | "(" root ")"` + "\n" + `a ::= "x"* b` + "\n" + `b ::= | "y" | a`,
		"palindrome":      `root ::= "a" root "a" | "b" root "b" | [0-9] | "글" root "글"`,
	} {
		g, err := CompileEBNF(text)
		add(name, g, err)
	}
	return out
}

// bruteMask tries every token's bytes on its own.
func bruteMask(m *Matcher) []uint64 {
	mask := make([]uint64, m.v.MaskWords())
	for id := range int32(m.v.size) {
		c := m.Clone()
		if c.Accept(id) {
			mask[id>>6] |= 1 << (id & 63)
		}
	}
	return mask
}

func TestMaskIsWhatAcceptTakes(t *testing.T) {
	// The second one has more tokens that end inside a character.
	vocabs := map[string]*Vocab{"demo": demoVocab(), "big": NewVocabulary(bigList(4000), []int32{2})}
	depth := 20
	if testing.Short() {
		depth = 6
	}
	for name, g := range testGrammars(t) {
		for kind, v := range vocabs {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				s := newSampler(v, 11)
				for m, n := g.Start(v), 0; n < depth && !m.Ended(); n++ {
					ids := s.allowed(m)
					if want := bruteMask(m); !slices.Equal(s.mask, want) {
						for id := range int32(v.size) {
							if (s.mask[id>>6]^want[id>>6])>>(id&63)&1 != 0 {
								t.Fatalf("after %d tokens: token %d %q: mask %v", n, id, v.tokens[id], s.mask[id>>6]>>(id&63)&1)
							}
						}
					}
					m.Accept(s.choose(ids, n > depth/2))
				}
			})
		}
	}
}

func TestRollback(t *testing.T) {
	v := demoVocab()
	for name, g := range testGrammars(t) {
		s := newSampler(v, 5)
		m := g.Start(v)
		var masks [][]uint64
		for n := 0; n < 12 && !m.Ended(); n++ {
			ids := s.allowed(m)
			masks = append(masks, slices.Clone(s.mask))
			// A draft that goes astray and comes back.
			c := m.Clone()
			drafted := 0
			for range 4 {
				if next := s.allowed(m); len(next) > 0 && m.Accept(s.choose(next, true)) {
					drafted++
				}
			}
			m.Rollback(drafted)
			if m.Mask(s.mask); !slices.Equal(s.mask, masks[n]) || m.Len() != n || m.Complete() != c.Complete() {
				t.Fatalf("%s: rolling back %d tokens changes the mask after %d", name, drafted, n)
			}
			m.Accept(s.choose(ids, false))
		}
		for n := m.Len() - 1; n >= 0; n-- {
			m.Rollback(1)
			if n < len(masks) {
				if m.Mask(s.mask); !slices.Equal(s.mask, masks[n]) {
					t.Fatalf("%s: the mask after %d tokens differs on the way back", name, n)
				}
			}
		}
	}
}

func TestEndTokens(t *testing.T) {
	g, err := CompileChoice([]string{"a", "ab"})
	if err != nil {
		t.Fatal(err)
	}
	v := NewVocabulary(tokenList{[]byte("a"), []byte("b"), nil, []byte("</s>"), []byte("ab")}, []int32{2, 3})
	m := g.Start(v)
	mask := make([]uint64, 2)
	mask[1] = 5
	step := func(want uint64, token int32, ok bool) {
		t.Helper()
		if any := m.Mask(mask); mask[0] != want || mask[1] != 0 || any != (want != 0) {
			t.Fatalf("mask %b, want %b", mask, want)
		}
		if m.Accept(token) != ok {
			t.Fatalf("Accept(%d) = %v", token, !ok)
		}
	}
	step(0b10001, 2, false)
	step(0b10001, 3, false)
	step(0b10001, -1, false)
	step(0b10001, 99, false)
	step(0b10001, 0, true)
	step(0b01110, 0, false)
	step(0b01110, 3, true)
	if !m.Ended() || m.Complete() || m.Len() != 2 {
		t.Error("the text should be over")
	}
	step(0, 2, false)
	m.Rollback(1)
	step(0b01110, 1, true)
	step(0b01100, 2, true)
}

func TestForced(t *testing.T) {
	g, err := CompileJSONSchema([]byte(`{"type":"object","properties":{"이름":{"const":"x"},"b":{"type":"integer"}},"required":["이름","b"]}`), Options{Compact: true})
	if err != nil {
		t.Fatal(err)
	}
	m := g.Start(demoVocab())
	if got := string(m.Forced()); got != `{"이름":"x","b":` {
		t.Errorf("forced %q", got)
	}
	if m.Len() != 0 {
		t.Error("Forced moved the matcher")
	}
}

// Masks must not depend on what was computed before, by whom, or what was forgotten.
func TestMaskDoesNotDependOnTheCache(t *testing.T) {
	v := demoVocab()
	g, err := CompileJSONObject()
	if err != nil {
		t.Fatal(err)
	}
	run := func(forget bool) (masks [][]uint64) {
		m := g.Start(v)
		s := newSampler(v, 99)
		for range 40 {
			if forget {
				m.cache.clear()
			}
			ids := s.allowed(m)
			masks = append(masks, slices.Clone(s.mask))
			if len(ids) == 0 || !m.Accept(s.choose(ids, false)) {
				break
			}
		}
		return masks
	}
	want := run(true)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i, mask := range run(false) {
				if !slices.Equal(mask, want[i]) {
					t.Errorf("mask %d differs", i)
				}
			}
		})
	}
	wg.Wait()
}

func TestPrefixesCanBeCompleted(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for name, g := range testGrammars(t) {
		m := newMachine(g)
		for range 20 {
			items := g.first()
			for n := 0; n < 60; n++ {
				set := m.next(items)
				var bytes []byte
				for b := range 256 {
					if set.has(byte(b)) {
						bytes = append(bytes, byte(b))
					}
				}
				if len(bytes) == 0 {
					if !m.ends(items) {
						t.Fatalf("%s: stuck", name)
					}
					break
				}
				items = m.step(nil, items, bytes[rng.IntN(len(bytes))])
				if len(items) == 0 {
					t.Fatalf("%s: a byte that may come next leads nowhere", name)
				}
			}
		}
	}
}
