package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonNode is a JSON value that knows its place, with the members of objects in order.
type jsonNode struct {
	kind    byte   // one of n b 0 s [ {, for null, boolean, number, string, array, object
	at      string // JSON pointer in fragment form
	id      int32
	boolean bool
	text    string // of a string: its value; of a number: its literal
	items   []*jsonNode
	names   []string // of an object's members, whose values are items
}

func (n *jsonNode) member(name string) *jsonNode {
	if n.kind == '{' {
		for i, s := range n.names {
			if s == name {
				return n.items[i]
			}
		}
	}
	return nil
}

// kindName is how messages call a value's kind.
func (n *jsonNode) kindName() string {
	switch n.kind {
	case 'n':
		return "null"
	case 'b':
		return "a boolean"
	case '0':
		return "a number"
	case 's':
		return "a string"
	case '[':
		return "an array"
	}
	return "an object"
}

type jsonReader struct {
	d    *json.Decoder
	next int32
}

// readJSON parses a schema.
func readJSON(text []byte) (*jsonNode, error) {
	if len(text) > maxSchemaBytes {
		return nil, problemAt("1:1", "the schema is longer than %d bytes", maxSchemaBytes)
	}
	for i, rest := 0, text; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n == 1 {
			return nil, problemAt(lineColumn(string(text), i), "the schema is not valid UTF-8")
		}
		i, rest = i+n, rest[n:]
	}
	// The whole is checked first: a Decoder counts the places of its errors in two ways.
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		at := len(text)
		var js *json.SyntaxError
		if errors.As(err, &js) && js.Error() != "unexpected end of JSON input" {
			at = int(js.Offset) - 1
		}
		return nil, problemAt(lineColumn(string(text), at), "this is not JSON: %v", err)
	}
	r := &jsonReader{d: json.NewDecoder(bytes.NewReader(text))}
	r.d.UseNumber()
	return r.value("#", 0)
}

func (r *jsonReader) value(at string, depth int) (*jsonNode, error) {
	if depth > maxSchemaDepth {
		return nil, problemAt(at, "the schema is nested more than %d deep", maxSchemaDepth)
	}
	token, err := r.d.Token()
	if err != nil {
		return nil, problemAt(at, "this is not JSON: %v", err)
	}
	n := &jsonNode{at: at, id: r.next}
	r.next++
	switch t := token.(type) {
	case nil:
		n.kind = 'n'
	case bool:
		n.kind, n.boolean = 'b', t
	case json.Number:
		n.kind, n.text = '0', t.String()
	case string:
		n.kind, n.text = 's', t
	case json.Delim:
		n.kind = byte(t)
		err = r.container(n, depth)
	}
	return n, err
}

// container reads the members of an array or object up to its end.
func (r *jsonReader) container(n *jsonNode, depth int) error {
	seen := map[string]bool{}
	for r.d.More() {
		place := strconv.Itoa(len(n.items))
		if n.kind == '{' {
			token, err := r.d.Token()
			if err != nil {
				return problemAt(n.at, "this is not JSON: %v", err)
			}
			name, _ := token.(string)
			place = escapePointer(name)
			if seen[name] {
				return problemAt(n.at+"/"+place, "this name comes twice in its object")
			}
			seen[name] = true
			n.names = append(n.names, name)
		}
		item, err := r.value(n.at+"/"+place, depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	if _, err := r.d.Token(); err != nil {
		return problemAt(n.at, "this is not JSON: %v", err)
	}
	return nil
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

func escapePointer(name string) string { return pointerEscaper.Replace(name) }

// appendJSON writes a value compactly, with strings in the form of jsonContent.
func appendJSON(out []byte, n *jsonNode) []byte {
	switch n.kind {
	case 'n':
		return append(out, "null"...)
	case 'b':
		return strconv.AppendBool(out, n.boolean)
	case '0':
		return append(out, n.text...)
	case 's':
		return appendJSONString(out, n.text)
	}
	out = append(out, n.kind)
	for i, item := range n.items {
		if i > 0 {
			out = append(out, ',')
		}
		if n.kind == '{' {
			out = append(appendJSONString(out, n.names[i]), ':')
		}
		out = appendJSON(out, item)
	}
	return append(out, n.kind+2) // ']' and '}' come two after '[' and '{'
}

func appendJSONString(out []byte, s string) []byte {
	out = append(out, '"')
	out = append(out, jsonContent(s)...)
	return append(out, '"')
}

// equalJSON compares values as JSON schema does: numbers by value, objects without order.
func equalJSON(a, b *jsonNode) bool {
	if a.kind != b.kind || len(a.items) != len(b.items) {
		return false
	}
	switch a.kind {
	case 'b':
		return a.boolean == b.boolean
	case '0':
		x, ok1 := parseDecimal(a.text)
		y, ok2 := parseDecimal(b.text)
		if !ok1 || !ok2 {
			return a.text == b.text
		}
		return x.Cmp(y) == 0
	case 's':
		return a.text == b.text
	case '{':
		for i, name := range a.names {
			if m := b.member(name); m == nil || !equalJSON(a.items[i], m) {
				return false
			}
		}
		return true
	}
	for i := range a.items {
		if !equalJSON(a.items[i], b.items[i]) {
			return false
		}
	}
	return true
}
