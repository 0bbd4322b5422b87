package openai

import (
	"encoding/json"

	"github.com/sullae/sullae/coordinator/gateway"
)

// structure reads OpenAI's response_format, and vLLM's structured_outputs and
// guided_json, guided_regex, guided_choice and guided_grammar.
func (o *object) structure() (s gateway.Structure) {
	if raw := o.want("response_format", "object"); raw != nil {
		var f struct {
			Type       string `json:"type"`
			JSONSchema struct {
				Schema json.RawMessage `json:"schema"`
			} `json:"json_schema"`
		}
		if err := json.Unmarshal(raw, &f); err != nil {
			o.fail("response_format", "%v", err)
			return s
		}
		switch f.Type {
		case "text":
		case "json_object":
			s.JSONObject = true
		case "json_schema":
			if len(f.JSONSchema.Schema) == 0 {
				o.fail("response_format", "json_schema.schema is missing")
			}
			s.JSONSchema = f.JSONSchema.Schema
		default:
			o.fail("response_format", "type must be text, json_object or json_schema, got %q", f.Type)
		}
	}
	guide := func(from *object, prefix, field string) {
		if raw := from.get(prefix + "json"); raw != nil {
			s.JSONSchema = raw
			var text string // a schema may come as a string
			if json.Unmarshal(raw, &text) == nil {
				s.JSONSchema = []byte(text)
			}
		}
		if v := from.str(prefix + "regex"); v != "" {
			s.Regex = v
		}
		if v := from.strings(prefix + "choice"); v != nil {
			s.Choice = v
		}
		if v := from.str(prefix + "grammar"); v != "" {
			s.Grammar = v
		}
		if from.err != nil && field != "" {
			o.fail(field, "%v", from.err)
		}
	}
	guide(o, "guided_", "")
	if raw := o.want("structured_outputs", "object"); raw != nil {
		inner, err := parseObject(raw)
		if err != nil {
			o.fail("structured_outputs", "%v", err)
			return s
		}
		guide(inner, "", "structured_outputs")
		if inner.boolean("json_object", false) {
			s.JSONObject = true
		}
	}
	return s
}
