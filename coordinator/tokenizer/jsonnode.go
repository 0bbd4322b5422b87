package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxDepth bounds how deep components (a Sequence in a Sequence ...) may nest.
const maxDepth = 8

// node is one JSON value of a tokenizer file together with the place where it
// stands, so that every complaint can say where to look.
type node struct {
	file  string
	path  string // "pre_tokenizer.pretokenizers[1]"; "" is the whole file
	raw   json.RawMessage
	depth int
}

func (n node) errorf(format string, args ...any) error {
	where := n.file
	if n.path != "" {
		where += ": " + n.path
	}
	return fmt.Errorf(where+": "+format, args...)
}

// absent says that the value is missing or null.
func (n node) absent() bool {
	return len(n.raw) == 0 || string(n.raw) == "null"
}

// key is a value inside n, named for errors.
func (n node) key(name string, raw json.RawMessage) node {
	path := name
	if n.path != "" {
		path = n.path + "." + name
	}
	return node{file: n.file, path: path, raw: raw, depth: n.depth}
}

// list opens an array of components, one level deeper.
func (n node) list() ([]node, error) {
	var raws []json.RawMessage
	if err := json.Unmarshal(n.raw, &raws); err != nil {
		return nil, n.errorf("%w", err)
	}
	if n.depth+1 > maxDepth {
		return nil, n.errorf("components nest more than %d deep", maxDepth)
	}
	nodes := make([]node, len(raws))
	for i, raw := range raws {
		nodes[i] = node{file: n.file, path: fmt.Sprintf("%s[%d]", n.path, i), raw: raw, depth: n.depth + 1}
	}
	return nodes, nil
}

// strict decodes n into v and refuses keys that v does not have: an option that
// nobody reads here could change ids.
func (n node) strict(v any) error {
	dec := json.NewDecoder(bytes.NewReader(n.raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return n.errorf("%w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return n.errorf("text follows the JSON value")
	}
	return nil
}

// componentType reads the "type" key that says which component n is.
func (n node) componentType() (string, error) {
	var c struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(n.raw, &c); err != nil {
		return "", n.errorf("%w", err)
	}
	if c.Type == nil {
		return "", n.errorf("no \"type\"")
	}
	return *c.Type, nil
}

func (n node) unsupported(kind, typ string) error {
	return n.errorf("%s type %q is not supported", kind, typ)
}

// pattern is the {"String": ...} or {"Regex": ...} of Split and Replace.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

func (n node) checkPattern(p pattern) error {
	switch {
	case (p.String == nil) == (p.Regex == nil):
		return n.errorf("pattern must have one of \"String\" and \"Regex\"")
	case p.String != nil && *p.String == "":
		return n.errorf("pattern.String is empty")
	}
	return nil
}
