package grammar

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Checkers of schemas disagree on white space beyond ASCII: ECMAScript counts U+FEFF,
// Python U+001C to U+001F and U+0085, RE2 none of it. So \s is written as what all
// agree is white space, and \S as what all agree is not; in a class that is negated
// they change places.
const (
	surelySpace    = `\t\n\f\r `
	maybeSpace     = `\t-\r\x{1C}-\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}`
	notSurelySpace = `\x{0}-\x{8}\x{B}\x{E}-\x{1F}!-\x{10FFFF}`
	notMaybeSpace  = `\x{0}-\x{8}\x{E}-\x{1B}!-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027}` +
		`\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{FEFE}\x{FF00}-\x{10FFFF}`
)

// ecmaToRE2 writes a pattern of a JSON schema, which is ECMAScript's, in the syntax of
// RE2. What RE2 lacks is refused, and so is what the two read differently.
func ecmaToRE2(pattern string) (string, error) {
	t := &ecmaTranslator{in: pattern}
	for t.at < len(t.in) && t.err == nil {
		t.next()
	}
	if t.err != nil {
		return "", t.err
	}
	return t.out.String(), nil
}

type ecmaTranslator struct {
	in      string
	at      int
	out     strings.Builder
	inClass bool
	negated bool // the class
	err     error
}

func (t *ecmaTranslator) fail(format string, args ...any) {
	if t.err == nil {
		t.err = problemAt(lineColumn(t.in, t.at), "%s", fmt.Sprintf(format, args...))
	}
}

func (t *ecmaTranslator) next() {
	rest := t.in[t.at:]
	switch c := rest[0]; {
	case c == '\\':
		t.escape(rest)
		return
	case t.inClass && c == ']':
		t.inClass, t.negated = false, false
	case t.inClass && c == '[':
		t.out.WriteByte('\\') // else "[:" would begin one of RE2's named classes
	case !t.inClass && c == '[':
		if strings.HasPrefix(rest, "[]") || strings.HasPrefix(rest, "[^]") {
			t.fail("an empty class is not supported")
		}
		t.inClass = true
		if strings.HasPrefix(rest, "[^") {
			t.out.WriteByte('[')
			t.at++
			t.negated = true
		}
	case !t.inClass && strings.HasPrefix(rest, "(?"):
		t.group(rest)
	}
	t.out.WriteByte(t.in[t.at])
	t.at++
}

func (t *ecmaTranslator) group(rest string) {
	switch {
	case hasAnyPrefix(rest, "(?=", "(?!", "(?<=", "(?<!"):
		t.fail("look-around is not supported")
	case !hasAnyPrefix(rest, "(?:", "(?<", "(?P<"):
		t.fail("unknown kind of group")
	}
}

func (t *ecmaTranslator) escape(rest string) {
	if len(rest) < 2 {
		t.fail(`nothing follows \`)
		return
	}
	c := rest[1]
	switch {
	case c == 'u':
		t.unicodeEscape(rest)
		return
	case c == 's' || c == 'S':
		members := surelySpace
		switch {
		case c == 's' && t.negated:
			members = maybeSpace
		case c == 'S' && t.negated:
			members = notSurelySpace
		case c == 'S':
			members = notMaybeSpace
		}
		if !t.inClass {
			members = "[" + members + "]"
		}
		t.out.WriteString(members)
		t.at += 2
	case c == 'p' || c == 'P':
		t.property(rest)
	case c == 'b' && t.inClass:
		t.put(`\x{8}`, 2)
	case c == 'b' || c == 'B':
		t.fail("word boundaries are not supported")
	case c == 'c' && len(rest) > 2 && isLetter(rest[2]):
		t.put(fmt.Sprintf(`\x{%X}`, rest[2]&31), 3)
	case c == 'k' || c >= '1' && c <= '9':
		t.fail("back-references are not supported")
	case c == '0' && (len(rest) < 3 || rest[2] < '0' || rest[2] > '9'):
		t.put(`\x{0}`, 2)
	case c == '_':
		t.put("_", 2)
	case strings.IndexByte("dDwWtnrfvx", c) >= 0 || c < 0x80 && !isLetter(c) && (c < '0' || c > '9'):
		t.put(rest[:2], 2)
	default:
		t.fail(`\%c is not supported`, []rune(rest)[1])
	}
}

func (t *ecmaTranslator) put(s string, read int) {
	t.out.WriteString(s)
	t.at += read
}

// unicodeEscape reads \uXXXX, a pair of them that is one character, or \u{X}.
func (t *ecmaTranslator) unicodeEscape(rest string) {
	if strings.HasPrefix(rest, `\u{`) {
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			t.fail(`\u{ is not closed`)
			return
		}
		t.put(`\x{`+rest[3:end]+`}`, end+1)
		return
	}
	c, ok := fourHex(rest)
	if !ok {
		t.fail(`\u needs four hexadecimal digits`)
		return
	}
	read := 6
	if utf16.IsSurrogate(c) {
		low, ok := fourHex(rest[6:])
		if c = utf16.DecodeRune(c, low); !ok || c == '\uFFFD' {
			t.fail("half of a surrogate pair is no character")
			return
		}
		read = 12
	}
	t.put(fmt.Sprintf(`\x{%X}`, c), read)
}

func fourHex(s string) (rune, bool) {
	if len(s) < 6 || s[:2] != `\u` {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 32)
	return rune(n), err == nil
}

// property reads \p{Name}, \p{Script=Name} or \p{General_Category=Name}.
func (t *ecmaTranslator) property(rest string) {
	end := strings.IndexByte(rest, '}')
	if len(rest) < 3 || rest[2] != '{' || end < 0 {
		t.fail(`\%c needs a name in braces`, rest[1])
		return
	}
	name := rest[3:end]
	if key, value, ok := strings.Cut(name, "="); ok {
		switch key {
		case "Script", "sc", "General_Category", "gc":
			name = value
		default:
			t.fail("unknown Unicode property %s", key)
			return
		}
	}
	t.put(rest[:2]+"{"+name+"}", end+1)
}

func isLetter(c byte) bool { return c|32 >= 'a' && c|32 <= 'z' }

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
