package grammar

import (
	"testing"
	"time"
)

// use runs a grammar for a few steps: whatever was compiled, its masks are what
// Accept takes and it never gets stuck.
func use(t *testing.T, g *Grammar) {
	s := newSampler(demoVocab(), 1)
	m := g.Start(s.v)
	for n := 0; n < 6 && !m.Ended(); n++ {
		ids := s.allowed(m)
		if len(ids) == 0 {
			t.Fatal("nothing is allowed")
		}
		for range 20 {
			id := ids[s.rng.IntN(len(ids))]
			if !m.Accept(id) {
				t.Fatalf("the mask allows %q, Accept doesn't", s.v.tokens[id])
			}
			m.Rollback(1)
		}
		m.Accept(s.choose(ids, n > 3))
	}
}

func fuzzed(t *testing.T, compile func() (*Grammar, error)) {
	start := time.Now()
	g, err := compile()
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("compiling took %s", took)
	}
	if err != nil {
		if e, ok := err.(*SyntaxError); !ok || e.Where == "" || e.Problem == "" {
			t.Errorf("%#v", err)
		}
		return
	}
	use(t, g)
}

func FuzzJSONSchema(f *testing.F) {
	for _, c := range schemaCases(f) {
		f.Add(string(c.Schema))
	}
	f.Fuzz(func(t *testing.T, schema string) {
		fuzzed(t, func() (*Grammar, error) { return CompileJSONSchema([]byte(schema), Options{}) })
	})
}

func FuzzRegex(f *testing.F) {
	for _, p := range regexes {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		fuzzed(t, func() (*Grammar, error) { return CompileRegex(pattern) })
		if source, err := ecmaToRE2(pattern); err == nil && len(source) > 100*len(pattern)+200 {
			t.Errorf("%q grows to %d bytes", pattern, len(source))
		}
	})
}

func FuzzEBNF(f *testing.F) {
	f.Add(arithmetic)
	f.Add("root ::= \"a\" [^b-d]{2,3} | (root? \"\\x41\")*\n# end")
	f.Add("root ::= a | b{,3}\na ::= root \".\" b\nb ::= | [가-힣]+")
	f.Fuzz(func(t *testing.T, text string) {
		fuzzed(t, func() (*Grammar, error) { return CompileEBNF(text) })
	})
}

func FuzzChoice(f *testing.F) {
	f.Add("a", "ab", "가")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		fuzzed(t, func() (*Grammar, error) { return CompileChoice([]string{a, b, c}) })
	})
}
