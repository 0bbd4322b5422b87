package tokenizer

import (
	"fmt"
	"strings"
)

const maxRegexBytes = 4096

// checkRegex refuses a pattern with anything that Oniguruma and the engine used
// here read differently, or that costs without bound.
func checkRegex(expr string) error {
	if len(expr) > maxRegexBytes {
		return fmt.Errorf("pattern is longer than %d bytes", maxRegexBytes)
	}
	refuse := func(at int, what string) error {
		return fmt.Errorf("pattern %q: %s at byte %d is not supported", expr, what, at)
	}
	depth, inClass := 0, false
	for i := 0; i < len(expr); i++ {
		rest := expr[i:]
		switch {
		case rest[0] == '\\':
			n, ok := escapeLen(rest)
			if !ok {
				return refuse(i, "escape")
			}
			i += n - 1
		case inClass:
			switch {
			case rest[0] == ']':
				inClass = false
			case rest[0] == '[':
				return refuse(i, "class within a class")
			case strings.HasPrefix(rest, "&&"), strings.HasPrefix(rest, "-["):
				return refuse(i, "set operation")
			}
		case rest[0] == '[':
			inClass = true
			if strings.HasPrefix(rest, "[^") {
				i++
			}
			if strings.HasPrefix(expr[i+1:], "]") {
				return refuse(i, "empty class")
			}
		case rest[0] == '(':
			if depth++; depth > 32 {
				return refuse(i, "nesting")
			}
			n, ok := groupLen(rest)
			if !ok {
				return refuse(i, "group")
			}
			i += n - 1
		case rest[0] == ')':
			depth--
		case rest[0] == '^', rest[0] == '$', rest[0] == '.':
			return refuse(i, "a line's "+string(rest[0]))
		case strings.IndexByte("?*+}", rest[0]) >= 0 && len(rest) > 1 && rest[1] == '+':
			return refuse(i, "possessive quantifier")
		case rest[0] == '{':
			if !boundedRepeat(rest) {
				return refuse(i, "repetition")
			}
		}
	}
	return nil
}

// escapeLen is the length of an escape that both engines know.
func escapeLen(s string) (int, bool) {
	if len(s) < 2 {
		return 0, false
	}
	switch c := s[1]; {
	case strings.IndexByte("sSdrntvf", c) >= 0:
		return 2, true
	case c == 'p' || c == 'P':
		end := strings.IndexByte(s, '}')
		if len(s) < 5 || s[2] != '{' || end < 0 {
			return 0, false
		}
		return end + 1, categories[s[3:end]]
	case c == 'u':
		return 6, len(s) >= 6 && isHex(s[2:6])
	case isPunctuation(rune(c)):
		return 2, true
	}
	return 0, false
}

// categories are the general categories; scripts and properties go by names that
// the engines spell differently.
var categories = func() map[string]bool {
	m := map[string]bool{}
	for _, name := range strings.Fields("L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp Cc Cf Han") {
		m[name] = true
	}
	return m
}()

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}

// groupLen is the length of a group's opening.
func groupLen(s string) (int, bool) {
	if !strings.HasPrefix(s, "(?") {
		return 1, true
	}
	for _, open := range []string{"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!"} {
		if strings.HasPrefix(s, open) {
			return len(open), true
		}
	}
	return 0, false
}

// boundedRepeat accepts {n}, {n,} and {n,m} of at most three digits each.
func boundedRepeat(s string) bool {
	body, _, ok := strings.Cut(s[1:], "}")
	if !ok {
		return false
	}
	low, high, _ := strings.Cut(body, ",")
	short := func(d string) bool { return len(d) <= 3 && strings.Trim(d, "0123456789") == "" }
	return low != "" && short(low) && short(high)
}
