package openai

import (
	"encoding/json"

	"github.com/sullae/sullae/coordinator/gateway"
)

// structure reads OpenAI's response_format, and vLLM's structured_outputs and
// guided_json, guided_regex, guided_choice and guided_grammar. field is the one
// that the client used.
func (o *object) structure() (s gateway.Structure, field string) {
	field = o.responseFormat(&s)
	if name := o.guide(&s, "guided_"); name != "" {
		field = name
	}
	const name = "structured_outputs"
	if raw := o.want(name, "object"); raw != nil {
		field = name
		in := subObject(raw)
		one := in.guide(&s, "")
		if in.boolean("json_object", false) {
			s.JSONObject, one = true, "json_object"
		}
		in.boolean("disable_fallback", false) // there is one way here, and no other to fall back to
		o.refuseUnknown(name, in)
		if one == "" {
			o.fail(name, "needs one of json, json_object, regex, choice and grammar")
		}
	}
	return s, field
}

// responseFormat reads response_format, and returns its name where it says
// something.
func (o *object) responseFormat(s *gateway.Structure) string {
	const name = "response_format"
	raw := o.want(name, "object")
	if raw == nil {
		return ""
	}
	in := subObject(raw)
	schema := in.want("json_schema", "object")
	switch kind := in.str("type"); kind {
	case "text":
		o.refuseUnknown(name, in)
		return ""
	case "json_object":
		s.JSONObject = true
	case "json_schema":
		inner := subObject(schema)
		for _, known := range []string{"name", "description", "strict"} {
			inner.get(known)
		}
		if s.JSONSchema = inner.get("schema"); s.JSONSchema == nil && in.err == nil {
			o.fail(name, "json_schema.schema is missing")
		}
		o.refuseUnknown(name, inner)
	default:
		if in.err == nil {
			o.fail(name, "type must be text, json_object or json_schema, got %q", kind)
		}
	}
	o.refuseUnknown(name, in)
	return name
}

// guide reads the kinds of structure that vLLM knows, and returns the name of one
// that is there, or "".
func (o *object) guide(s *gateway.Structure, prefix string) (field string) {
	if name := prefix + "json"; o.get(name) != nil {
		s.JSONSchema, field = o.get(name), name
		var text string // a schema may come as a string
		if json.Unmarshal(s.JSONSchema, &text) == nil {
			s.JSONSchema = []byte(text)
		}
	}
	if name := prefix + "regex"; o.str(name) != "" {
		s.Regex, field = o.str(name), name
	}
	if name := prefix + "choice"; o.get(name) != nil {
		s.Choice, field = o.strings(name), name
	}
	if name := prefix + "grammar"; o.str(name) != "" {
		s.Grammar, field = o.str(name), name
	}
	return field
}

// refuseUnknown makes the first error of in, or a member of it that nobody has
// asked for, an error of the field that it is in: what shapes the answer is not
// passed over.
func (o *object) refuseUnknown(field string, in *object) {
	if in.err != nil {
		o.fail(field, "%v", in.err)
		return
	}
	for _, name := range in.unknown() {
		if in.get(name) != nil {
			o.fail(field, "%s: not supported", name)
		}
	}
}
