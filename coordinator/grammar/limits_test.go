package grammar

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What a request can ask for ends in bounded time, well or with an error: in some
// tenths of a second. Only what runs away is caught here, since machines are shared.
func TestHostileInputIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("slow under the race detector, and nothing runs at the same time")
	}
	repeat := strings.Repeat
	defs := func(n int, f func(i int) string) string {
		var b strings.Builder
		b.WriteString(`{"$ref":"#/$defs/d0","$defs":{"end":{"type":"null"}`)
		for i := range n {
			fmt.Fprintf(&b, `,"d%d":%s`, i, f(i))
		}
		return b.String() + `}}`
	}
	next := func(i, n int) string {
		if i+1 == n {
			return `{"$ref":"#/$defs/end"}`
		}
		return fmt.Sprintf(`{"$ref":"#/$defs/d%d"}`, i+1)
	}
	schemas := map[string]string{
		"deep":            repeat(`{"items":`, 5000) + `{}` + repeat(`}`, 5000),
		"chain":           defs(5000, func(i int) string { return next(i, 5000) }),
		"object chain":    defs(5000, func(i int) string { return `{"required":["x"],"properties":{"x":` + next(i, 5000) + `}}` }),
		"doubling":        defs(60, func(i int) string { return `{"allOf":[` + next(i, 60) + `,` + next(i, 60) + `]}` }),
		"any of any of":   defs(60, func(i int) string { return `{"anyOf":[` + next(i, 60) + `,` + next(i, 60) + `]}` }),
		"all of any of":   `{"allOf":[` + repeat(`{"anyOf":[{"minimum":1},{"maximum":2},{"type":"null"}]},`, 30) + `{}]}`,
		"one of":          `{"oneOf":[` + repeat(`{"type":"string"},`, 5000) + `{"type":"null"}]}`,
		"huge count":      `{"type":"array","items":{"type":"string","maxLength":2147483646},"minItems":2147483646}`,
		"pattern, length": `{"type":"string","pattern":"(a|b)*c(d|e)*","minLength":1000000}`,
		"many names":      `{"required":[` + repeat(`"abc`+repeat("d", 20)+`",`, 20000) + `"a"],"maxProperties":900}`,
		"blow-up":         `{"type":"string","pattern":"(a|b)*a(a|b){30}"}`,
		"long bound":      `{"type":"integer","minimum":` + repeat("9", 100000) + `}`,
		"big multiples":   `{"type":"integer","multipleOf":997,"minimum":-1e60,"maximum":1e60}`,
		"large enum":      `{"enum":[` + repeat(`"`+repeat("x", 90)+`",`, 9000) + `1]}`,
	}
	for name, s := range schemas {
		bounded(t, name, func() error { _, err := CompileJSONSchema([]byte(s), Options{}); return err })
	}
	for _, p := range []string{
		`((((a{1000}){1000}){1000}){1000})`, `(\pL{500}|\pN{500})*`, repeat("(", 900) + repeat(")", 900),
		repeat("(a*)*", 3000), `(.*a){200}`, `[^\x00-\x{10FFFF}]`, repeat("a?", 8000) + repeat("a", 100),
	} {
		bounded(t, p[:min(len(p), 30)], func() error { _, err := CompileRegex(p); return err })
	}
	var forth, back strings.Builder
	forth.WriteString("root ::= r0\n")
	back.WriteString("root ::= r9999\nr0 ::= \"a\"\n")
	for i := range 10000 {
		fmt.Fprintf(&forth, "r%d ::= r%d r0\n", i, i+1)
		fmt.Fprintf(&back, "r%d ::= r%d r0\n", i+1, i)
	}
	forth.WriteString("r10000 ::= \"a\"")
	for name, g := range map[string]string{
		"forth": forth.String(), "back": back.String(),
		"repeats":  `root ::= "a"` + repeat("{0,9999}", 1000),
		"optional": `root ::= "a"` + repeat("?", 50000),
		"nested":   "root ::= " + repeat("(", 100000),
		"bars":     "root ::= " + repeat("|", 200000),
	} {
		bounded(t, name, func() error { _, err := CompileEBNF(g); return err })
	}
}

func bounded(t *testing.T, name string, f func() error) {
	t.Helper()
	start := time.Now()
	err := f()
	took := time.Since(start)
	t.Logf("%-30s %8s %.80v", name, took.Round(time.Millisecond/10), err)
	if took > 20*time.Second {
		t.Errorf("%s took %s", name, took)
	}
}

// A grammar that reads everything in ever more ways costs bounded time for each step.
func TestAmbiguityIsBounded(t *testing.T) {
	for _, text := range []string{
		`root ::= root root root | . | "" `,
		`root ::= a{0,200}` + "\n" + `a ::= [^b]+ | [^c]+ a | a a`,
	} {
		g, err := CompileEBNF(text)
		if err != nil {
			t.Fatal(err)
		}
		s := newSampler(demoVocab(), 1)
		start := time.Now()
		m := g.Start(s.v)
		for range 5 {
			ids := s.allowed(m)
			if len(ids) == 0 || !m.Accept(s.choose(ids, false)) {
				break
			}
		}
		t.Logf("5 steps took %s", time.Since(start))
		if took := time.Since(start); took > 60*time.Second {
			t.Errorf("5 steps took %s", took)
		}
	}
}
