package grammar

import (
	"math/big"
	"net/url"
	"strconv"
	"strings"
)

// families says which type each supported keyword is about; 0: all or none.
var families = map[string]typeSet{
	"type": 0, "enum": 0, "const": 0, "anyOf": 0, "oneOf": 0, "allOf": 0, "$ref": 0,
	"properties": typeObject, "required": typeObject, "additionalProperties": typeObject,
	"patternProperties": typeObject, "propertyNames": typeObject,
	"minProperties": typeObject, "maxProperties": typeObject,
	"items": typeArray, "prefixItems": typeArray, "additionalItems": typeArray,
	"minItems": typeArray, "maxItems": typeArray, "uniqueItems": typeArray,
	"minLength": typeString, "maxLength": typeString, "pattern": typeString, "format": 0,
	"minimum": typeNumber, "maximum": typeNumber, "exclusiveMinimum": typeNumber,
	"exclusiveMaximum": typeNumber, "multipleOf": typeNumber,
}

// annotations say nothing about which values are valid.
var annotations = map[string]bool{
	"$schema": true, "$id": true, "id": true, "$comment": true, "$anchor": true, "$vocabulary": true,
	"$defs": true, "definitions": true, "title": true, "description": true, "default": true,
	"example": true, "examples": true, "deprecated": true, "readOnly": true, "writeOnly": true,
	"contentEncoding": true, "contentMediaType": true, "contentSchema": true,
	// Of OpenAPI, where it names the property that tells oneOf's branches apart.
	"discriminator": true, "externalDocs": true, "xml": true,
}

// checkKeywords refuses keywords that this package does not enforce.
func (c *schemaCompiler) checkKeywords(node *jsonNode) {
	if c.checked[node] {
		return
	}
	c.checked[node] = true
	for i, name := range node.names {
		if _, ok := families[name]; ok || annotations[name] || strings.HasPrefix(name, "x-") {
			continue
		}
		c.fail(node.items[i].at, "the keyword %q is not supported", name)
	}
	if id := node.member("$id"); id != nil && node != c.root {
		c.fail(id.at, "$id is supported at the top of a schema only: references would mean something else below it")
	}
	if u := node.member("uniqueItems"); u != nil {
		if u.kind != 'b' {
			c.fail(u.at, "uniqueItems must be a boolean, not %s", u.kindName())
		} else if most, ok := c.count(node, "maxItems"); u.boolean && (!ok || most > 1) {
			c.fail(u.at, "uniqueItems is not supported for arrays of more than one element")
		}
	}
	if add := node.member("additionalItems"); add != nil {
		if items := node.member("items"); items == nil || items.kind != '[' {
			c.fail(add.at, "additionalItems means something only where items is an array")
		}
	}
}

// count is a keyword's value that has to be a whole number from 0.
func (c *schemaCompiler) count(node *jsonNode, name string) (int, bool) {
	v := node.member(name)
	if v == nil {
		return 0, false
	}
	if v.kind == '0' {
		if r, ok := parseDecimal(v.text); ok && r.IsInt() && r.Sign() >= 0 && r.Num().IsInt64() && r.Num().Int64() < unbounded {
			return int(r.Num().Int64()), true
		}
	}
	c.fail(v.at, "%s must be a whole number from 0", name)
	return 0, false
}

// parseDecimal reads a JSON number exactly. It refuses numbers of too many digits.
func parseDecimal(s string) (*big.Rat, bool) {
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		if e, err := strconv.Atoi(s[at+1:]); err != nil || e > maxDigits || e < -maxDigits {
			return nil, false
		}
	}
	if len(s) > maxDigits {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// resolve finds the schema that a $ref names, inside this document.
func (c *schemaCompiler) resolve(ref *jsonNode) *jsonNode {
	if ref.kind != 's' {
		c.fail(ref.at, "$ref must be a string, not %s", ref.kindName())
		return nil
	}
	if !strings.HasPrefix(ref.text, "#") {
		c.fail(ref.at, "$ref %q: only references into the schema itself (#/...) are supported", ref.text)
		return nil
	}
	pointer, err := url.PathUnescape(ref.text[1:])
	if err != nil || pointer != "" && pointer[0] != '/' {
		c.fail(ref.at, "$ref %q is not a JSON pointer", ref.text)
		return nil
	}
	node := c.root
	if pointer == "" {
		return node
	}
	for _, part := range strings.Split(pointer[1:], "/") {
		name := strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		next := node.member(name)
		if i, err := strconv.Atoi(name); node.kind == '[' && err == nil && i >= 0 && i < len(node.items) {
			next = node.items[i]
		}
		if next == nil {
			c.fail(ref.at, "$ref %q: there is nothing at this place", ref.text)
			return nil
		}
		node = next
	}
	return node
}
