package grammar

import (
	"encoding/json"
	"os"
	"testing"
)

// schemaCase is a schema of testdata/schemas.json, with texts that its grammar has and
// lacks.
type schemaCase struct {
	Name   string
	Schema json.RawMessage
	Yes    []string
	No     []string
}

func schemaCases(t testing.TB) []schemaCase {
	t.Helper()
	b, err := os.ReadFile("testdata/schemas.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []schemaCase
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestSchemaTexts(t *testing.T) {
	for _, c := range schemaCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			g, err := CompileJSONSchema(c.Schema, Options{})
			if err != nil {
				t.Fatal(err)
			}
			root, err := parseAny(c.Schema)
			if err != nil {
				t.Fatal(err)
			}
			check := &validator{root}
			for _, text := range c.Yes {
				if !g.Match([]byte(text)) {
					t.Errorf("the grammar lacks %s", text)
				}
				v, err := parseAny([]byte(text))
				if err != nil || !check.valid(root, v) {
					t.Errorf("the test is wrong about %s: %v", text, err)
				}
			}
			for _, text := range c.No {
				if g.Match([]byte(text)) {
					t.Errorf("the grammar has %s", text)
				}
			}
		})
	}
}

func TestCompactHasNoSpace(t *testing.T) {
	g, err := CompileJSONSchema([]byte(`{"type":"object","properties":{"a":{"type":"array"}}}`), Options{Compact: true})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`{"a":[1,2]}`: true, `{}`: true, `{"a": [1,2]}`: false, `{"a":[1, 2]}`: false, `{ }`: false, "{\n}": false,
	} {
		if g.Match([]byte(text)) != want {
			t.Errorf("Match(%s) = %v", text, !want)
		}
	}
}

func TestJSONObject(t *testing.T) {
	g, err := CompileJSONObject()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`{}`: true, `{"가": [1, -2.5e+3, {"x": "\u0041\ud83d\ude00"}]}`: true, "{\n  \"a\": null\n}": true,
		`[]`: false, `"a"`: false, `{"a":}`: false, `{} `: false, "{\"a\":\"\xed\xa0\x80\"}": false,
		"{\n\n\"a\":1}": false, `{"a":"` + "\xc0\x80" + `"}`: false, `{"a":1e400}`: false,
	} {
		if g.Match([]byte(text)) != want {
			t.Errorf("Match(%q) = %v", text, !want)
		}
	}
}

func TestSchemaErrors(t *testing.T) {
	for _, c := range []struct{ schema, where, problem string }{
		{`{"type":"object",}`, "1:18", "this is not JSON: invalid character '}' looking for beginning of object key string"},
		{"{\n \"type\": }", "2:10", "this is not JSON: invalid character '}' looking for beginning of value"},
		{`{"type":"string"`, "1:17", "this is not JSON: unexpected end of JSON input"},
		{`{} {}`, "1:4", "this is not JSON: invalid character '{' after top-level value"},
		{`"string"`, "#", "a schema is an object or a boolean, not a string"},
		{`{"type":"strin"}`, "#/type", `there is no type "strin"`},
		{`{"properties":{"a/b":{"typ":"string"}}}`, "#/properties/a~1b/typ", `the keyword "typ" is not supported`},
		{`{"not":{}}`, "#/not", `the keyword "not" is not supported`},
		{`{"if":{},"then":{}}`, "#/if", `the keyword "if" is not supported`},
		{`{"type":"array","contains":{}}`, "#/contains", `the keyword "contains" is not supported`},
		{`{"type":"array","uniqueItems":true}`, "#/uniqueItems", "uniqueItems is not supported for arrays of more than one element"},
		{`{"type":"object","unevaluatedProperties":false}`, "#/unevaluatedProperties", `the keyword "unevaluatedProperties" is not supported`},
		{`{"$ref":"#/$defs/x"}`, "#/$ref", `$ref "#/$defs/x": there is nothing at this place`},
		{`{"$ref":"http://x"}`, "#/$ref", `$ref "http://x": only references into the schema itself (#/...) are supported`},
		{`{"$ref":"#"}`, "#", "this schema refers to itself without anything in between"},
		{`{"oneOf":[{"type":"integer"},{"type":"number"}]}`, "#/oneOf", "branches 0 and 1 of oneOf may both hold for a value: tell them apart by type, or by a required property with different const values, or use anyOf"},
		{`{"type":"string","pattern":"a(?=b)"}`, "#/pattern", "look-around is not supported (at 1:2 of the pattern)"},
		{`{"type":"string","pattern":"(a"}`, "#/pattern", "missing closing ) (at 1:1 of the pattern)"},
		{`{"type":"string","format":"iri"}`, "#/format", `the format "iri" is not supported`},
		{`{"type":"number","multipleOf":0.01}`, "#/multipleOf", "multipleOf is supported for whole numbers from 1 to 1000 only"},
		{`{"type":"string","minLength":-1}`, "#/minLength", "minLength must be a whole number from 0"},
		{`{"type":"string","minLength":1e99}`, "#/minLength", "minLength must be a whole number from 0"},
		{`{"type":"integer","minimum":1e999999999}`, "#/minimum", "minimum has more than 64 digits"},
		{`{"type":"integer","minimum":5,"maximum":4}`, "#", "no value fits: no number is within these bounds"},
		{`{"type":"string","pattern":"^a$","minLength":2}`, "#", "no value fits: no string has this pattern, format and length"},
		{`{"allOf":[{"type":"string"},{"type":"null"}]}`, "#", "no value fits: the types exclude each other"},
		{`{"type":"object","properties":{"a":false},"required":["a"]}`, "#/properties/a", "no value fits: the schema is false"},
		{`{"$defs":{"n":{"type":"object","properties":{"n":{"$ref":"#/$defs/n"}},"required":["n"]}},"$ref":"#/$defs/n"}`, "#", "no value fits this schema"},
		{`{"type":"object","required":"a"}`, "#/required", "required must be an array of names, not a string"},
		{`{"properties":[]}`, "#/properties", "properties must be an object, not an array"},
		{`{"a":1,"a":2}`, "#/a", "this name comes twice in its object"},
		{`{"anyOf":[]}`, "#/anyOf", "anyOf must be an array of schemas, at least one"},
		{`{"patternProperties":{"a":{},"b":{}}}`, "#/patternProperties/b", `this pattern and "a" match the same names, which is not supported`},
		{`{"properties":{"a":{"$id":"x"}}}`, "#/properties/a/$id", "$id is supported at the top of a schema only: references would mean something else below it"},
		{`{"type":"object","minProperties":3}`, "#", "minProperties of more than 1, where names are free, is not supported: they might repeat"},
	} {
		_, err := CompileJSONSchema([]byte(c.schema), Options{})
		e, ok := err.(*SyntaxError)
		if !ok {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		if e.Where != c.where || e.Problem != c.problem {
			t.Errorf("%s:\n got %s: %s\nwant %s: %s", c.schema, e.Where, e.Problem, c.where, c.problem)
		}
	}
}
