package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/sullae/sullae/coordinator/gateway"
)

// object reads a JSON object's fields one by one, and remembers the first error
// (a *gateway.FieldError that names the field) and the fields that were asked
// for. A field that is null is absent.
type object struct {
	fields map[string]json.RawMessage
	seen   map[string]bool
	err    error
}

func (o *object) get(name string) json.RawMessage {
	o.seen[name] = true
	raw := o.fields[name]
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}

func (o *object) fail(name, format string, args ...any) {
	if o.err == nil {
		o.err = &gateway.FieldError{Field: name, Problem: fmt.Sprintf(format, args...)}
	}
}

// kindOf names the JSON type of a valid value.
func kindOf(raw json.RawMessage) string {
	switch raw[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

func (o *object) want(name, kind string) json.RawMessage {
	raw := o.get(name)
	if raw == nil {
		return nil
	}
	if k := kindOf(raw); k != kind {
		o.fail(name, "must be %s, got %s", article(kind), article(k))
		return nil
	}
	return raw
}

func (o *object) str(name string) string {
	var s string
	if raw := o.want(name, "string"); raw != nil {
		_ = json.Unmarshal(raw, &s)
	}
	return s
}

// boolean returns def where the field is absent.
func (o *object) boolean(name string, def bool) bool {
	if raw := o.want(name, "boolean"); raw != nil {
		return raw[0] == 't'
	}
	return def
}

func (o *object) float(name string) *float32 {
	raw := o.want(name, "number")
	if raw == nil {
		return nil
	}
	f, err := strconv.ParseFloat(string(raw), 32)
	if err != nil {
		o.fail(name, "%s is out of range", raw)
		return nil
	}
	v := float32(f)
	return &v
}

// integer also takes 16.0, as clients in languages without integers send it.
func (o *object) integer(name string) *int {
	raw := o.want(name, "number")
	if raw == nil {
		return nil
	}
	if i, err := strconv.Atoi(string(raw)); err == nil {
		return &i
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case err != nil || math.Abs(f) > 1<<53:
		o.fail(name, "%s is out of range", raw)
		return nil
	case f != math.Trunc(f):
		o.fail(name, "must be an integer, got %s", raw)
		return nil
	}
	i := int(f)
	return &i
}

// seed takes any 64-bit integer, signed or not.
func (o *object) seed(name string) *uint64 {
	raw := o.want(name, "number")
	if raw == nil {
		return nil
	}
	if u, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
		return &u
	}
	i, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		o.fail(name, "must be a 64-bit integer, got %s", raw)
		return nil
	}
	u := uint64(i)
	return &u
}

// strings takes a string or a list of strings.
func (o *object) strings(name string) []string {
	raw := o.get(name)
	switch {
	case raw == nil:
		return nil
	case raw[0] == '"':
		return []string{o.str(name)}
	}
	if kindOf(raw) != "array" {
		o.fail(name, "must be a string or a list of strings, got %s", article(kindOf(raw)))
		return nil
	}
	list := entries(raw)
	out := make([]string, len(list))
	for i, e := range list {
		if kindOf(e) != "string" {
			o.fail(name, "must be a string or a list of strings; entry %d is %s", i, article(kindOf(e)))
			return nil
		}
		_ = json.Unmarshal(e, &out[i])
	}
	return out
}

// entries are those of a valid array.
func entries(raw json.RawMessage) (list []json.RawMessage) {
	_ = json.Unmarshal(raw, &list)
	return list
}

// ids takes a list of token ids; only their being 32-bit integers is checked.
func (o *object) ids(name string) []int32 {
	raw := o.want(name, "array")
	if raw == nil {
		return nil
	}
	return o.parseIDs(name, raw)
}

func (o *object) parseIDs(name string, raw json.RawMessage) []int32 {
	ids := []int32{}
	// A null in a list of numbers would pass for 0.
	if json.Unmarshal(raw, &ids) == nil && !bytes.Contains(raw, []byte("n")) {
		return ids
	}
	for i, e := range entries(raw) {
		if _, err := strconv.ParseInt(string(e), 10, 32); err != nil {
			if kindOf(e) != "number" {
				o.fail(name, "must be token ids; entry %d is %s", i, article(kindOf(e)))
			} else {
				o.fail(name, "%s at position %d is no token id", e, i)
			}
			return nil
		}
	}
	return ids
}

// biases takes an object from token ids, as strings, to numbers.
func (o *object) biases(name string) map[int32]float32 {
	raw := o.want(name, "object")
	if raw == nil {
		return nil
	}
	var fields map[string]float32
	if err := json.Unmarshal(raw, &fields); err != nil {
		o.fail(name, "must be an object from token ids to numbers")
		return nil
	}
	out := make(map[int32]float32, len(fields))
	for key, v := range fields {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			o.fail(name, "%q is no token id", key)
			return nil
		}
		out[int32(id)] = v
	}
	return out
}

// unknown lists the fields that nobody asked for.
func (o *object) unknown() []string {
	var names []string
	for name := range o.fields {
		if !o.seen[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
