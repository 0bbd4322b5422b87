package toolcall

import (
	"encoding/json"
	"strings"
)

// readPython reads name.call(key="value", ...), as Llama calls its built-in tools, and
// name(key="value"). Values are Python's literals of strings, numbers, True, False and
// None.
func readPython(s string) (name, arguments string, ok bool) {
	s = strings.TrimSpace(s)
	open := strings.IndexByte(s, '(')
	if open < 0 || !strings.HasSuffix(s, ")") {
		return "", "", false
	}
	name = strings.TrimSuffix(s[:open], ".call")
	if !isName(name) || strings.ContainsAny(name, "=,;") {
		return "", "", false
	}
	rest := strings.TrimSpace(s[open+1 : len(s)-1])
	var b strings.Builder
	b.WriteByte('{')
	for first := true; rest != ""; first = false {
		key, after, found := strings.Cut(rest, "=")
		key = strings.TrimSpace(key)
		if !found || !isName(key) {
			return "", "", false
		}
		value, left, valid := pythonLiteral(strings.TrimSpace(after))
		if !valid {
			return "", "", false
		}
		left = strings.TrimSpace(left)
		if left != "" {
			if left[0] != ',' {
				return "", "", false
			}
			left = strings.TrimSpace(left[1:])
		}
		if !first {
			b.WriteString(", ")
		}
		b.WriteString(quote(key) + ": " + value)
		rest = left
	}
	b.WriteByte('}')
	return name, b.String(), true
}

// pythonLiteral is the literal at the beginning of s as JSON, and what follows it.
func pythonLiteral(s string) (value, rest string, ok bool) {
	if s == "" {
		return "", "", false
	}
	if q := s[0]; q == '"' || q == '\'' {
		var text strings.Builder
		for i := 1; i < len(s); i++ {
			switch c := s[i]; {
			case c == q:
				return quote(text.String()), s[i+1:], true
			case c == '\\' && i+1 < len(s):
				i++
				if at := strings.IndexByte("ntr", s[i]); at >= 0 {
					text.WriteByte("\n\t\r"[at])
				} else {
					text.WriteByte(s[i])
				}
			default:
				text.WriteByte(c)
			}
		}
		return "", "", false
	}
	end := strings.IndexAny(s, ", )")
	if end < 0 {
		end = len(s)
	}
	word, rest := s[:end], s[end:]
	switch word {
	case "True":
		return "true", rest, true
	case "False":
		return "false", rest, true
	case "None":
		return "null", rest, true
	}
	var number json.Number
	if json.Unmarshal([]byte(word), &number) != nil || word == "null" || word[0] == '"' {
		return "", "", false
	}
	return word, rest, true
}

// programArguments is a program as the arguments of an interpreter.
func programArguments(program string) string {
	return `{"code": ` + quote(strings.TrimSpace(program)) + "}"
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string can always be written
	return string(b)
}
