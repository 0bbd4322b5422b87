package grammar

import "testing"

func TestSmoke(t *testing.T) {
	for _, c := range []struct {
		g, s string
		ok   bool
	}{
		{`root ::= "a" root | "b"`, "aaab", true}, {`root ::= root "a" | "b"`, "baaa", true}, {`root ::= root "a" | "b"`, "baab", false},
		{`root ::= s
 s ::= s s | "a" | ""`, "aaaa", true},
		{`root ::= "(" root ")" | [가-힣]{1,2}`, "((한글))", true},
		{`root ::= "(" root ")" | [가-힣]{1,2}`, "((한글한))", false},
		{`root ::= a b c
 a ::= "x"*
 b ::= a
 c ::= b "!"? a`, "xx!x", true},
	} {
		g, err := CompileEBNF(c.g)
		if err != nil {
			t.Fatal(err)
		}
		if g.Match([]byte(c.s)) != c.ok {
			t.Errorf("%s %s", c.g, c.s)
		}
	}
	g, err := CompileRegex(`^(\d{2,3}-)?[가-힣]+$`)
	if err != nil {
		t.Fatal(err)
	}
	if !g.Match([]byte("012-가나")) || g.Match([]byte("012-가나1")) {
		t.Error("regex")
	}
	_, err = CompileRegex(`a(b`)
	t.Log(err)
	_, err = CompileRegex(`ab[z-a]`)
	t.Log(err)
	_, err = CompileRegex(`a\bb`)
	t.Log(err)
	_, err = CompileRegex(`(a|b)*a(a|b){40}`)
	t.Log(err)
	_, err = CompileEBNF("root ::= foo")
	t.Log(err)
	_, err = CompileEBNF("root ::= root")
	t.Log(err)
}
