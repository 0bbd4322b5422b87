package grammar

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Tagged is a text of JSON values with fixed text around them: the shape of tool
// calls. It reads
//
//	Prefix item (Separator item)* Suffix
//
// where an item is one of Kinds: its Begin, a value of its Schema, its End.
type Tagged struct {
	Prefix, Separator, Suffix string
	Kinds                     []TaggedKind
	// Max is the most items; 0 is any number.
	Max int
}

// TaggedKind is one kind of item.
type TaggedKind struct {
	Begin  string
	Schema []byte // as for CompileJSONSchema; its references are into itself
	End    string
}

// CompileTagged compiles such a text. Errors name a kind's schema by its place in
// Kinds: "#/0/properties/x".
func CompileTagged(t Tagged, opts Options) (*Grammar, error) {
	if len(t.Kinds) == 0 {
		return nil, problemAt("#", "there is nothing to choose from")
	}
	var whole strings.Builder
	whole.WriteByte('{')
	for i, k := range t.Kinds {
		if !json.Valid(k.Schema) {
			_, err := readJSON(k.Schema)
			return nil, err
		}
		if i > 0 {
			whole.WriteByte(',')
		}
		whole.WriteString(strconv.Quote(strconv.Itoa(i)) + ":")
		whole.Write(k.Schema)
	}
	whole.WriteByte('}')
	root, err := readJSON([]byte(whole.String()))
	if err != nil {
		return nil, err
	}
	for _, schema := range root.items {
		schema.moveReferences(schema.at)
	}
	c := newSchemaCompiler(root, opts)
	return c.compile(func() int32 {
		return c.define("tagged", "#", func(n *nfa, from int32) int32 {
			item := func(from int32) int32 {
				var kinds []part
				for i, k := range t.Kinds {
					kinds = append(kinds, func(from int32) int32 {
						from = c.value(n, n.text(from, k.Begin), conjunction{{node: root.items[i]}})
						return n.text(from, k.End)
					})
				}
				return n.either(from, kinds...)
			}
			from = item(n.text(from, t.Prefix))
			from = n.repeat(from, 0, t.Max-1, func(from int32) int32 { return item(n.text(from, t.Separator)) })
			return n.text(from, t.Suffix)
		})
	})
}

// moveReferences makes references into a document that stands at a place of another
// one mean what they meant.
func (n *jsonNode) moveReferences(at string) {
	for i, item := range n.items {
		if n.kind == '{' && n.names[i] == "$ref" && item.kind == 's' && strings.HasPrefix(item.text, "#") {
			item.text = at + item.text[1:]
		}
		item.moveReferences(at)
	}
}
