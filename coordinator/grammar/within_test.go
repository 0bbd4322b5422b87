package grammar

import (
	"encoding/json"
	"math/bits"
	"testing"
)

// within writes a text by choosing evenly among what MaskWithin allows.
func (s *sampler) within(t *testing.T, m *Matcher, room int) (text string, tokens int) {
	t.Helper()
	var out []byte
	for ; !m.Ended(); room, tokens = room-1, tokens+1 {
		if room == 0 {
			t.Fatalf("no room is left after %q", out)
		}
		m.MaskWithin(s.mask, room)
		var ids []int32
		for i, w := range s.mask {
			for ; w != 0; w &= w - 1 {
				ids = append(ids, int32(i*64+bits.TrailingZeros64(w)))
			}
		}
		id := ids[s.rng.IntN(len(ids))]
		if !m.Accept(id) {
			t.Fatalf("the mask allows token %d %q after %q, Accept doesn't", id, s.v.tokens[id], out)
		}
		out = append(out, s.v.tokens[id]...)
	}
	return string(out), tokens
}

// TestTextsEndInTime: in any room that the shortest text fits in, every text ends.
func TestTextsEndInTime(t *testing.T) {
	runs := 25
	if testing.Short() {
		runs = 4
	}
	check := func(name string, seed uint64, g *Grammar, valid func(text string) bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSampler(demoVocab(), seed)
			c := closer{distances: g.least(), frames: map[*frame]int32{}}
			least := int(c.items(g.first())) + 1
			if least >= far {
				t.Fatal("no text is short enough")
			}
			for run := range runs {
				text, _ := s.within(t, g.Start(s.v), least+s.rng.IntN(1+3*run))
				if !valid(text) {
					t.Fatalf("%q", text)
				}
			}
		})
	}
	for i, c := range schemaCases(t) {
		g, err := CompileJSONSchema(c.Schema, Options{})
		if err != nil {
			t.Fatal(err)
		}
		root, err := parseAny(c.Schema)
		if err != nil {
			t.Fatal(err)
		}
		v := &validator{root}
		check(c.Name, uint64(i), g, func(text string) bool {
			x, err := parseAny([]byte(text))
			return err == nil && v.valid(root, x)
		})
	}
	object, err := CompileJSONObject()
	if err != nil {
		t.Fatal(err)
	}
	check("object", 1, object, func(text string) bool {
		var v map[string]any
		return json.Unmarshal([]byte(text), &v) == nil
	})
	for _, pattern := range []string{`[가-힣]{2,5} \d{3}-\d{4}`, `(ab{3,7}c){2,4}[0-9]{12}`, `x*y{40}`} {
		g, err := CompileRegex(pattern)
		if err != nil {
			t.Fatal(err)
		}
		check(pattern, 2, g, func(text string) bool { return g.Match([]byte(text)) })
	}
	for _, source := range []string{
		`root ::= "(" root ")" | "x" root? | "[" list "]"` + "\n" + `list ::= root ("," root){2,3}`,
		`root ::= a a a` + "\n" + `a ::= "(" a ")" | [0-9]{5}`,
	} {
		g, err := CompileEBNF(source)
		if err != nil {
			t.Fatal(err)
		}
		check(source, 3, g, func(text string) bool { return g.Match([]byte(text)) })
	}
}

// TestLeast: the shortest texts are as long as they are.
func TestLeast(t *testing.T) {
	for pattern, want := range map[string]int32{``: 0, `abc`: 3, `a*`: 0, `a{7}`: 7, `(ab){3,}`: 6, `[가-힣]{2,5} \d{3}`: 10, `a{3}b{4,5}|c{20}`: 7, `[a-z가-힣]{5,9}`: 5} {
		g, err := CompileRegex(pattern)
		if err != nil {
			t.Fatal(err)
		}
		c := closer{distances: g.least(), frames: map[*frame]int32{}}
		if n := c.items(g.first()); n != want {
			t.Errorf("%q: %d bytes, want %d", pattern, n, want)
		}
	}
}
