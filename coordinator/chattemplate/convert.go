package chattemplate

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fromGo copies a caller's value into the template's world. What it does not know
// it takes by its JSON, so structs with tags work and keep the order of their fields.
func fromGo(v any, depth int) (value, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("values nest more than %d deep", maxJSONDepth)
	}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case bool:
		return v, nil
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	case float64:
		return v, nil
	case string:
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("%q is not valid UTF-8", v)
		}
		return v, nil
	case json.Number:
		return fromNumber(string(v))
	case *Map:
		if v == nil {
			return nil, nil
		}
		return fromPairs(v.keys, v.values, depth)
	case map[string]any: // the best that can be done for order is to have one
		return fromPairs(slices.Sorted(maps.Keys(v)), v, depth)
	case []any:
		return fromSlice(v, depth)
	case []*Map:
		return fromSlice(v, depth)
	case []string:
		return fromSlice(v, depth)
	case []map[string]any:
		return fromSlice(v, depth)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	parsed, err := ParseJSON(raw)
	if err != nil {
		return nil, err
	}
	return fromGo(parsed, depth)
}

func fromSlice[T any](s []T, depth int) (value, error) {
	items := make([]value, len(s))
	for i, x := range s {
		v, err := fromGo(x, depth+1)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		items[i] = v
	}
	return &list{items}, nil
}

func fromPairs(keys []string, values map[string]any, depth int) (value, error) {
	d := newDict()
	for _, key := range keys {
		v, err := fromGo(values[key], depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if !utf8.ValidString(key) {
			return nil, fmt.Errorf("key %q is not valid UTF-8", key)
		}
		d.set(key, v)
	}
	return d, nil
}

// maxNumberLen keeps a number's text from costing more than it should.
const maxNumberLen = 1000

// fromNumber keeps the difference between 1 and 1.0, as Python's json does.
func fromNumber(text string) (value, error) {
	if len(text) > maxNumberLen {
		return nil, fmt.Errorf("number of %d digits is too long", len(text))
	}
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil && f == 0 {
			return nil, err
		}
		return f, nil // out of range is inf
	}
	i, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, fmt.Errorf("%q is not a number", text)
	}
	return normalizeInt(i), nil
}
