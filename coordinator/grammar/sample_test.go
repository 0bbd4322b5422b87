package grammar

import (
	"encoding/json"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// sampler writes texts by choosing among what the mask allows, evenly; after some
// tokens it prefers what closes brackets and strings, as no endless model would.
type sampler struct {
	v    *Vocab
	rng  *rand.Rand
	mask []uint64
}

func newSampler(v *Vocab, seed uint64) *sampler {
	return &sampler{v: v, rng: rand.New(rand.NewPCG(seed, 7)), mask: make([]uint64, v.MaskWords())}
}

func (s *sampler) allowed(m *Matcher) []int32 {
	m.Mask(s.mask)
	var ids []int32
	for i, w := range s.mask {
		for ; w != 0; w &= w - 1 {
			ids = append(ids, int32(i*64+bits.TrailingZeros64(w)))
		}
	}
	return ids
}

// closers are the bytes that lead to an end, best first.
const closers = `"]}/:.0ntfaP-,`

func (s *sampler) choose(ids []int32, closing bool) int32 {
	if closing {
		best, rank := int32(-1), len(closers)
		for _, id := range ids {
			if s.v.isEnd(id) {
				return id
			}
			if b := s.v.tokens[id]; len(b) == 1 {
				if at := strings.IndexByte(closers, b[0]); at >= 0 && at < rank {
					best, rank = id, at
				}
			}
		}
		if best >= 0 && s.rng.IntN(8) > 0 {
			return best
		}
	}
	return ids[s.rng.IntN(len(ids))]
}

// text writes one text; it fails the test where the grammar gets stuck.
func (s *sampler) text(t *testing.T, m *Matcher, free int) string {
	t.Helper()
	var out []byte
	for n := 0; !m.Ended(); n++ {
		ids := s.allowed(m)
		if len(ids) == 0 {
			t.Fatalf("nothing is allowed after %q", out)
		}
		if n > free+3000 {
			t.Fatalf("no end after %d tokens: %q", n, out)
		}
		id := s.choose(ids, n >= free)
		if !m.Accept(id) {
			t.Fatalf("the mask allows token %d %q after %q, Accept doesn't", id, s.v.tokens[id], out)
		}
		out = append(out, s.v.tokens[id]...)
	}
	return string(out)
}

func TestSampledTextsAreValid(t *testing.T) {
	runs := 60
	if testing.Short() {
		runs = 8
	}
	for i, c := range schemaCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			g, err := CompileJSONSchema(c.Schema, Options{})
			if err != nil {
				t.Fatal(err)
			}
			root, err := parseAny(c.Schema)
			if err != nil {
				t.Fatal(err)
			}
			check := &validator{root}
			s := newSampler(demoVocab(), uint64(i))
			for run := range runs {
				text := s.text(t, g.Start(s.v), s.rng.IntN(40))
				if !utf8.ValidString(text) {
					t.Fatalf("run %d: not UTF-8: %q", run, text)
				}
				v, err := parseAny([]byte(text))
				if err != nil || !check.valid(root, v) {
					t.Fatalf("run %d: %s is not valid: %v", run, text, err)
				}
			}
		})
	}
}

func TestSampledObjectsParse(t *testing.T) {
	g, err := CompileJSONObject()
	if err != nil {
		t.Fatal(err)
	}
	s := newSampler(demoVocab(), 3)
	for range 300 {
		text := s.text(t, g.Start(s.v), s.rng.IntN(60))
		var v map[string]any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	}
}
