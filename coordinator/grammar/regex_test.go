package grammar

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

var regexes = []string{
	``, `a`, `a|b`, `(ab)*c?`, `[^a]b`, `가나|다라`, `[가-나]+`, `\d{2,3}-\d`, `\w+\s\W`, `(?i)ab가`, `.`, `.{2}`, `(?s).{2}`,
	`^ab$`, `^`, `$`, `(^a|b)$`, `a^b`, `a$b`, `(a$|ab)`, `(?:a|b)+?c`, `\p{Hangul}+`, `\P{L}{1,2}`, `[[:alpha:]]\x{AC00}`,
	`(a|ab)(c|bcd)(d*)`, `(a*)*`, `(a|)+b`, `a{0}b`, `a{2,}`, `[\-\]]+`, `\Qa.b\E`, `[^가]`, `(x|y(x|y(x|y)))`, `(^|a)(b|$)`,
}

// Go's own engine is the reference: it shares the parser, not the automaton.
func TestRegexMatchesAsGoDoes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	alphabet := []string{"a", "b", "c", "d", "A", "가", "나", "다", "라", "1", "2", "-", " ", ".", "\n", "x", "y", "]", "é", "😀"}
	for _, p := range regexes {
		g, err := CompileRegex(p)
		if err != nil {
			if strings.Contains(err.Error(), "no text matches") {
				continue
			}
			t.Fatalf("%s: %v", p, err)
		}
		want := regexp.MustCompile(`^(?:` + p + `)$`)
		for range 3000 {
			var b strings.Builder
			for range rng.IntN(6) {
				b.WriteString(alphabet[rng.IntN(len(alphabet))])
			}
			if s := b.String(); g.Match([]byte(s)) != want.MatchString(s) {
				t.Fatalf("%q matches %q: %v", p, s, g.Match([]byte(s)))
			}
		}
	}
}

func TestRegexErrors(t *testing.T) {
	for _, c := range []struct{ pattern, where, problem string }{
		{`가(b`, "1:2", "missing closing )"},
		{"ab\n[z-a]", "2:2", "invalid character class range: z-a"},
		{`a**`, "1:2", "invalid nested repetition operator: **"},
		{`a(?=b)`, "1:2", "invalid or unsupported Perl syntax: (?="},
		{`a\1`, "1:2", `invalid escape sequence: \1`},
		{`a\bb`, "1:1", `word boundaries (\b, \B) are not supported`},
		{`(?m)^a`, "1:1", "multi-line anchors are not supported"},
		{`a{2000}`, "1:2", "invalid repeat count: {2000}"},
		{"a\xff", "1:1", "the pattern is not valid UTF-8"},
		{`[^\x00-\x{10FFFF}]`, "1:1", "no text matches this pattern"},
		{`a^`, "1:1", "no text matches this pattern"},
	} {
		_, err := CompileRegex(c.pattern)
		e, ok := err.(*SyntaxError)
		if !ok || e.Where != c.where || e.Problem != c.problem {
			t.Errorf("%q:\n got %v\nwant %s: %s", c.pattern, err, c.where, c.problem)
		}
	}
}

func TestECMAPatterns(t *testing.T) {
	match := func(p, s string) (bool, error) {
		a, err := compilePattern(newBudget(), p, patternOptions{char: rawChar, ecma: true, search: true})
		if err != nil {
			return false, err
		}
		return a.matches(s), nil
	}
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{`^\uAC00$`, "가", true}, {`^\ud83d\ude00$`, "😀", true}, {`^\u{1F600}$`, "😀", true},
		{`^\s$`, " ", true}, {`^\s$`, "\u00a0", false}, {`^[^\s]$`, "\u00a0", false}, {`^\S$`, "\u00a0", false},
		{`^\S$`, "가", true}, {`^[\S]$`, " ", false}, {`^[^\S]$`, " ", true}, {`^[^\S]$`, "\u00a0", false},
		{`^.$`, "\u2028", false}, {`^.$`, "\n", false}, {`^[[:]$`, "[", true}, {`^[[:]$`, ":", true},
		{`^\/\-\_$`, "/-_", true}, {`^\p{Script=Hangul}$`, "각", true}, {`^\P{L}$`, "각", false}, {`^[\b]$`, "\b", true},
		{`^\cJ$`, "\n", true}, {`^\0$`, "\x00", true}, {`^\d$`, "٣", false}, {`^(?<y>\d{4})$`, "2024", true}, {`b`, "abc", true},
		{`^[^]]`, "", false},
	} {
		if got, err := match(c.pattern, c.text); got != c.want {
			t.Errorf("%s finds %q: %v %v", c.pattern, c.text, got, err)
		}
	}
	for pattern, want := range map[string]string{
		`a(?!b)`: "1:2: look-around is not supported", `(a)\1`: "1:4: back-references are not supported",
		`\bA`: "1:1: word boundaries are not supported", `[]`: "1:1: an empty class is not supported",
		`\A`: `1:1: \A is not supported`, `a\`: `1:2: nothing follows \`, `\ud800`: "1:1: half of a surrogate pair is no character",
		`(?i)a`: "1:1: unknown kind of group", `\p{Foo=Bar}`: "1:1: unknown Unicode property Foo", `\u12`: `1:1: \u needs four hexadecimal digits`,
	} {
		if _, err := match(pattern, ""); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", pattern, err, want)
		}
	}
}

// Every character is in exactly the ranges it should be, and nothing that isn't UTF-8.
func TestUTF8Classes(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	edges := []rune{0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xD800, 0xDFFF, 0xE000, 0xFFFF, 0x10000, 0x3FFFF, 0x10FFFF, '가', '힣'}
	pick := func() rune {
		if rng.IntN(2) == 0 {
			return max(0, min(utf8.MaxRune, edges[rng.IntN(len(edges))]+rune(rng.IntN(5)-2)))
		}
		return rune(rng.IntN(utf8.MaxRune + 1))
	}
	for range 300 {
		var rs []runeRange
		for range 1 + rng.IntN(3) {
			a, b := pick(), pick()
			rs = append(rs, runeRange{min(a, b), max(a, b)})
		}
		n := newNFA(newBudget())
		start := n.state()
		a, err := determinize(n, start, n.class(start, rs))
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			c := pick()
			want := contains(rs, c) && utf8.ValidRune(c)
			b := []byte{byte(0xE0 | c>>12), byte(0x80 | c>>6&63), byte(0x80 | c&63)} // surrogates, as if they had a form
			if utf8.ValidRune(c) {
				b = utf8.AppendRune(nil, c)
			}
			if a.matches(string(b)) != want {
				t.Fatalf("%x in %x: %v", c, rs, !want)
			}
		}
		for range 100 {
			b := make([]byte, 1+rng.IntN(4))
			for i := range b {
				b[i] = byte(rng.IntN(256))
			}
			if a.matches(string(b)) && (!utf8.Valid(b) || utf8.RuneCount(b) != 1) {
				t.Fatalf("%x passes", b)
			}
		}
	}
}
