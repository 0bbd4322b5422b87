package grammar

import (
	"bytes"
	"encoding/json"
	"math/big"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"
)

// validator checks values against a schema in the plainest way: on the parsed value,
// keyword by keyword. It shares no code with the compiler.
type validator struct{ root any }

func parseAny(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, json.Unmarshal(text, &v)
	}
	return v, nil
}

func rat(v any) *big.Rat {
	r, _ := new(big.Rat).SetString(string(v.(json.Number)))
	return r
}

func sameValue(a, b any) bool {
	x, ok1 := a.(json.Number)
	y, ok2 := b.(json.Number)
	if ok1 && ok2 {
		return rat(x).Cmp(rat(y)) == 0
	}
	return reflect.DeepEqual(a, b)
}

func hasType(v any, name string) bool {
	switch x := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case json.Number:
		return name == "number" || name == "integer" && rat(x).IsInt()
	case []any:
		return name == "array"
	}
	return name == "object"
}

func (c *validator) valid(schema, v any) bool {
	if b, ok := schema.(bool); ok {
		return b
	}
	for key, arg := range schema.(map[string]any) {
		if !c.keyword(schema.(map[string]any), key, arg, v) {
			return false
		}
	}
	return true
}

func (c *validator) count(schemas, v any) (n int) {
	for _, s := range schemas.([]any) {
		if c.valid(s, v) {
			n++
		}
	}
	return n
}

func (c *validator) keyword(s map[string]any, key string, arg, v any) bool {
	switch key {
	case "$ref":
		at := c.root
		for _, part := range strings.Split(arg.(string), "/")[1:] {
			at = at.(map[string]any)[part]
		}
		return c.valid(at, v)
	case "allOf":
		return c.count(arg, v) == len(arg.([]any))
	case "anyOf":
		return c.count(arg, v) > 0
	case "oneOf":
		return c.count(arg, v) == 1
	case "const":
		return sameValue(arg, v)
	case "enum":
		for _, e := range arg.([]any) {
			if sameValue(e, v) {
				return true
			}
		}
		return false
	case "type":
		if name, ok := arg.(string); ok {
			return hasType(v, name)
		}
		for _, name := range arg.([]any) {
			if hasType(v, name.(string)) {
				return true
			}
		}
		return false
	}
	switch x := v.(type) {
	case json.Number:
		return numberKeyword(key, arg, rat(x))
	case string:
		return stringKeyword(key, arg, x)
	case []any:
		return c.arrayKeyword(s, key, arg, x)
	case map[string]any:
		return c.objectKeyword(s, key, arg, x)
	}
	return true
}

func numberKeyword(key string, arg any, v *big.Rat) bool {
	switch key {
	case "minimum":
		return v.Cmp(rat(arg)) >= 0
	case "maximum":
		return v.Cmp(rat(arg)) <= 0
	case "exclusiveMinimum":
		return v.Cmp(rat(arg)) > 0
	case "exclusiveMaximum":
		return v.Cmp(rat(arg)) < 0
	case "multipleOf":
		return new(big.Rat).Quo(v, rat(arg)).IsInt()
	}
	return true
}

func stringKeyword(key string, arg any, v string) bool {
	switch key {
	case "minLength":
		return int64(utf8.RuneCountInString(v)) >= rat(arg).Num().Int64()
	case "maxLength":
		return int64(utf8.RuneCountInString(v)) <= rat(arg).Num().Int64()
	case "pattern":
		return regexp.MustCompile(arg.(string)).MatchString(v)
	}
	return true
}

func (c *validator) arrayKeyword(s map[string]any, key string, arg any, v []any) bool {
	first, _ := s["prefixItems"].([]any)
	rest, ok := s["items"]
	if list, old := rest.([]any); old {
		first = list
		rest, ok = s["additionalItems"]
	}
	switch key {
	case "minItems":
		return int64(len(v)) >= rat(arg).Num().Int64()
	case "maxItems":
		return int64(len(v)) <= rat(arg).Num().Int64()
	case "prefixItems", "items", "additionalItems":
		for i, e := range v {
			if i < len(first) && !c.valid(first[i], e) || i >= len(first) && ok && !c.valid(rest, e) {
				return false
			}
		}
	}
	return true
}

func (c *validator) objectKeyword(s map[string]any, key string, arg any, v map[string]any) bool {
	switch key {
	case "required":
		for _, name := range arg.([]any) {
			if _, ok := v[name.(string)]; !ok {
				return false
			}
		}
	case "minProperties":
		return int64(len(v)) >= rat(arg).Num().Int64()
	case "maxProperties":
		return int64(len(v)) <= rat(arg).Num().Int64()
	case "propertyNames":
		for name := range v {
			if !c.valid(arg, name) {
				return false
			}
		}
	case "properties", "patternProperties", "additionalProperties":
		declared, _ := s["properties"].(map[string]any)
		patterns, _ := s["patternProperties"].(map[string]any)
		for name, x := range v {
			known := false
			if d, ok := declared[name]; ok {
				if known = true; !c.valid(d, x) {
					return false
				}
			}
			for p, d := range patterns {
				if regexp.MustCompile(p).MatchString(name) {
					if known = true; !c.valid(d, x) {
						return false
					}
				}
			}
			if more, ok := s["additionalProperties"]; ok && !known && !c.valid(more, x) {
				return false
			}
		}
	}
	return true
}
