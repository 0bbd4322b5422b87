package grammar

import "testing"

func TestEBNF(t *testing.T) {
	for _, c := range []struct {
		name, grammar string
		yes, no       []string
	}{
		{"recursion", `root ::= "(" root ")" | [가-힣]{1,2}`, []string{"한", "((한글))"}, []string{"", "(한", "((한글한))", "()"}},
		{"left recursion", `root ::= root "a" | "b"`, []string{"b", "baaa"}, []string{"", "a", "ab"}},
		{"hidden left recursion", "root ::= e root \"a\" | \"b\"\ne ::= \"\" | \"x\"", []string{"b", "ba", "xba", "xxbaa"}, []string{"x", "xb", "xxba"}},
		{"mutual", "root ::= a\na ::= b \"1\" | \"x\"\nb ::= a \"2\"", []string{"x", "x21", "x2121"}, []string{"x2", "x1"}},
		{"ambiguous", `root ::= root root | "a" | ""`, []string{"", "a", "aaaaa"}, []string{"b", "ab"}},
		{"nullable", "root ::= a b c\na ::= \"x\"*\nb ::= a\nc ::= b \"!\"? a", []string{"", "!", "xx!x", "xxxx"}, []string{"!!", "x!y"}},
		{"escapes", `root ::= "\x41\u0042\U0001F600\"\\\n" [\]\-\\^a-c] [^\n"]`, []string{"AB😀\"\\\n]가", "AB😀\"\\\n-x", "AB😀\"\\\nb]"}, []string{"AB😀\"\\\n]\n", "AB😀\"\\\nd]"}},
		{"any and comments", "# a comment\nroot ::= . # \"not this\"\n  item{2}\nitem ::=\n  \"x\" |\n  \"y\"", []string{"가xy", "\nyy"}, []string{"xy", "가가xy"}},
		{"repeats", `root ::= "a"{2} "b"{1,} "c"{,2} "d"{0,1} ("e"+)*`, []string{"aab", "aabbccd", "aabee"}, []string{"ab", "aa", "aabccc", "aabdd"}},
		{"empty rule", "root ::= \"a\" nothing\nnothing ::=", []string{"a"}, []string{"", "aa"}},
		{"dead branch", "root ::= \"a\" | \"b\" never\nnever ::= \"c\" never", []string{"a"}, []string{"b", "bc"}},
		{"call chain", "root ::= list\nlist ::= pair | pair \",\" list\npair ::= key \"=\" key\nkey ::= [a-z]+ (\".\" [a-z]+)*", []string{"a=b", "a.b=c,d=e.f"}, []string{"a", "a=b,", "a.=b"}},
		{"GBNF's JSON", `root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws
string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= | " " | "\n" [ \t]{0,20}`, []string{`{}`, `{"가": [1, {"b":null}], "c": "\u0041"} `}, []string{`[]`, `{"a"}`, `{"a":"` + "\n" + `"}`}},
	} {
		g, err := CompileEBNF(c.grammar)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, s := range c.yes {
			if !g.Match([]byte(s)) {
				t.Errorf("%s: lacks %q", c.name, s)
			}
		}
		for _, s := range c.no {
			if g.Match([]byte(s)) {
				t.Errorf("%s: has %q", c.name, s)
			}
		}
	}
}

func TestEBNFErrors(t *testing.T) {
	for _, c := range []struct{ grammar, where, problem string }{
		{``, "1:1", "there is no rule named root"},
		{`answer ::= "a"`, "1:1", "there is no rule named root"},
		{"root ::= \"예\" 없음", "1:14", "unexpected '없'"},
		{"root ::= a\n\na ::= b c", "3:7", "there is no rule named b"},
		{"root ::= \"a\nb\"", "1:10", "this text is not closed"},
		{`root ::= [a-`, "1:13", "the grammar ends inside a text or class"},
		{`root ::= [a`, "1:10", "this class is not closed"},
		{`root ::= [z-a]`, "1:11", "this range goes backwards"},
		{`root ::= ("a" | "b"`, "1:10", "this parenthesis is not closed"},
		{`root ::= "a")`, "1:13", "unexpected ')'"},
		{`root ::= "\q"`, "1:11", `\q is no escape`},
		{`root ::= "\uD800"`, "1:11", "U+D800 is no character"},
		{`root ::= "\x4"`, "1:11", "2 hexadecimal digits are expected here"},
		{`root ::= "a"{3,2}`, "1:13", "{3,2}: the greatest count is below the least"},
		{`root ::= "a"{20000}`, "1:13", "a repetition count is above 10000"},
		{`root ::= "a"{}`, "1:13", "repetition is written {n}, {n,}, {,m} or {n,m}"},
		{`root = "a"`, "1:6", "::= is expected after the name root"},
		{"root ::= \"a\"\nroot ::= \"b\"", "2:1", "rule root is defined twice"},
		{`root ::= root "a"`, "1:1", "no text fits this grammar: root never ends"},
		{"root ::= (a\nb ::= c)", "2:1", "a rule begins inside parentheses"},
	} {
		_, err := CompileEBNF(c.grammar)
		e, ok := err.(*SyntaxError)
		if !ok || e.Where != c.where || e.Problem != c.problem {
			t.Errorf("%q:\n got %v\nwant %s: %s", c.grammar, err, c.where, c.problem)
		}
	}
}

func TestChoice(t *testing.T) {
	g, err := CompileChoice([]string{"예", "예요", "a\nb", ""})
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]bool{"예": true, "예요": true, "a\nb": true, "": true, "요": false, "예예": false, "a": false} {
		if g.Match([]byte(s)) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
	for _, list := range [][]string{nil, {"a", "\xff"}, make([]string, maxChoices+1)} {
		if _, err := CompileChoice(list); err == nil {
			t.Errorf("%d choices pass", len(list))
		} else {
			t.Log(err)
		}
	}
}
