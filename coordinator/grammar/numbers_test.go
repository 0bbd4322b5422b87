package grammar

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// randomDecimal is a number of a few digits as people write bounds.
func randomDecimal(rng *rand.Rand) string {
	s := strconv.Itoa(rng.IntN([]int{2, 10, 100, 2000}[rng.IntN(4)]))
	if rng.IntN(2) == 0 {
		s += "." + strconv.Itoa(rng.IntN(200))
	}
	if rng.IntN(3) == 0 {
		s = "-" + s
	}
	return s
}

// The automaton of bounds agrees with exact arithmetic, around the bounds above all.
func TestNumberBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for range 400 {
		s := numberSpec{integer: rng.IntN(2) == 0}
		if rng.IntN(4) > 0 {
			r, _ := parseDecimal(randomDecimal(rng))
			s.raise(r, rng.IntN(2) == 0)
		}
		if rng.IntN(4) > 0 {
			r, _ := parseDecimal(randomDecimal(rng))
			s.lower(r, rng.IntN(2) == 0)
		}
		if s.integer {
			if rng.IntN(3) == 0 {
				s.multiple = 1 + rng.Int64N(12)
			}
			s.roundBounds()
		}
		a, err := numberAutomaton(newBudget(), &s)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			text := randomDecimal(rng)
			if b := []*big.Rat{s.min, s.max}[rng.IntN(2)]; b != nil && rng.IntN(2) == 0 {
				text = strings.TrimSuffix(b.FloatString(3), ".000")
				if rng.IntN(2) == 0 {
					text = new(big.Rat).Add(b, big.NewRat(rng.Int64N(5)-2, 1000)).FloatString(3)
				}
			}
			r, _ := parseDecimal(text)
			want := s.admits(r)
			if s.integer && (strings.Contains(text, ".") || text == "-0") {
				want = false // such are not written
			}
			if a.matches(text) != want {
				t.Fatalf("%s: %s is in: %v", s.key(), text, !want)
			}
		}
		for _, text := range []string{"", "-", ".", "01", "1.", ".5", "--1", "1.2.3", "-.", "1-", "00"} {
			if a.matches(text) {
				t.Fatalf("%s: %q is in", s.key(), text)
			}
		}
	}
}

// What is written stays within its bounds when it is read as a float64.
func TestNumbersSurviveFloats(t *testing.T) {
	g, err := CompileJSONSchema([]byte(`{"type":"number","exclusiveMinimum":0.1,"exclusiveMaximum":0.3}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 30; n++ {
		for _, text := range []string{"0.1" + strings.Repeat("0", n) + "1", "0.2" + strings.Repeat("9", n)} {
			f, _ := strconv.ParseFloat(text, 64)
			if g.Match([]byte(text)) && (f <= 0.1 || f >= 0.3) {
				t.Errorf("%s reads as %v", text, f)
			}
		}
	}
	_, err = CompileJSONSchema([]byte(`{"type":"number","exclusiveMaximum":0.3000000000000000001}`), Options{})
	if err == nil {
		t.Error("an exclusive bound that no float64 tells from others passes")
	}
}

func TestOneOfBranchesToldApart(t *testing.T) {
	for _, c := range []struct {
		branches string
		apart    bool
	}{
		{`{"type":"string"},{"type":"integer"}`, true},
		{`{"type":"integer","maximum":3},{"type":"number","exclusiveMinimum":3}`, true},
		{`{"type":"integer","maximum":3},{"type":"number","minimum":3}`, false},
		{`{"enum":["a","b"]},{"const":"c"}`, true},
		{`{"enum":["a","b"]},{"const":"b"}`, false},
		{`{"enum":[1,"b"]},{"type":"string","minLength":2}`, true},
		{`{"const":1.0},{"const":1}`, false},
		{`{"type":"string","minLength":3},{"type":"string","maxLength":2}`, false},
		{`{"required":["k"],"properties":{"k":{"const":1}}},{"properties":{"k":{"const":2}}}`, false},
		{`{"type":"object","required":["k"],"properties":{"k":{"const":1}}},{"type":"object","properties":{"k":{"const":2}}}`, true},
		{`{"type":"object","required":["k"]},{"type":"object","properties":{"j":{}},"additionalProperties":false}`, true},
		{`{"type":"object","required":["k"],"properties":{"k":{"const":1}}},{"type":"null"},{"type":"object","required":["k"],"properties":{"k":{"type":"string"}}}`, true},
		{`{"type":"object","properties":{"a":{}}},{"type":"object","properties":{"b":{}}}`, false},
		{`{"anyOf":[{"type":"string"},{"type":"null"}]},{"type":"integer"}`, true},
		{`{"anyOf":[{"type":"string"},{"type":"integer"}]},{"type":"integer"}`, false},
	} {
		_, err := CompileJSONSchema(fmt.Appendf(nil, `{"oneOf":[%s]}`, c.branches), Options{})
		if (err == nil) != c.apart {
			t.Errorf("%s: %v", c.branches, err)
		}
	}
}
