package toolcall

import (
	"encoding/json"
	"fmt"

	"github.com/sullae/sullae/coordinator/grammar"
)

// Tool is what a model may call.
type Tool struct {
	Name string
	// Parameters is the JSON schema of its arguments; nil: any object.
	Parameters json.RawMessage
	// Strict: the arguments have to follow the schema, or the request fails. Else a
	// schema that can't be enforced is not.
	Strict bool
}

// anyObject is the schema of arguments that nothing is said of.
const anyObject = `{"type":"object"}`

// Grammar is the grammar of texts that call at least one of tools, at most limit times
// (0: any number). It fails on an unreadable format and on schemas that can't be kept.
func (f Format) Grammar(tools []Tool, limit int) (*grammar.Grammar, error) {
	t := grammar.Tagged{Max: limit}
	key := "arguments"
	switch f {
	case Hermes:
		t.Prefix, t.Separator, t.Suffix = callBegin+"\n", "\n"+callEnd+"\n"+callBegin+"\n", "\n"+callEnd
	case Llama:
		t.Separator, key = "; ", "parameters"
	case Mistral:
		t.Prefix, t.Separator, t.Suffix = callsTag+"[", ", ", "]"
	default:
		return nil, fmt.Errorf("calls can't be enforced: the chat template's format of calls is %v", f)
	}
	for _, tool := range tools {
		name, err := json.Marshal(tool.Name)
		if err != nil {
			return nil, err
		}
		k := grammar.TaggedKind{
			Begin:  fmt.Sprintf(`{"name": %s, "%s": `, name, key),
			Schema: tool.Parameters,
			End:    "}",
		}
		if k.Schema == nil {
			k.Schema = []byte(anyObject)
		} else if _, err := grammar.CompileJSONSchema(k.Schema, grammar.Options{}); err != nil {
			if tool.Strict {
				return nil, fmt.Errorf("the parameters of %q: %w", tool.Name, err)
			}
			k.Schema = []byte(anyObject)
		}
		t.Kinds = append(t.Kinds, k)
	}
	return grammar.CompileTagged(t, grammar.Options{})
}
