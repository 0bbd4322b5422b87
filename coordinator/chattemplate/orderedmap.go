package chattemplate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Map is a JSON object that keeps the order of its keys. Templates print dicts, and
// tojson writes them, in order; a Go map has none.
type Map struct {
	keys   []string
	values map[string]any
}

// Set puts key at the end, or replaces its value where it is.
func (m *Map) Set(key string, v any) {
	if m.values == nil {
		m.values = map[string]any{}
	}
	if _, ok := m.values[key]; !ok {
		m.keys = append(m.keys, key)
	}
	m.values[key] = v
}

// Get returns the value of key.
func (m *Map) Get(key string) (any, bool) {
	v, ok := m.values[key]
	return v, ok
}

// Keys returns the keys in order.
func (m *Map) Keys() []string { return append([]string(nil), m.keys...) }

// Len is the number of keys.
func (m *Map) Len() int { return len(m.keys) }

// UnmarshalJSON makes m the object in raw.
func (m *Map) UnmarshalJSON(raw []byte) error {
	v, err := ParseJSON(raw)
	if err != nil {
		return err
	}
	parsed, ok := v.(*Map)
	if !ok {
		return fmt.Errorf("want a JSON object, have %T", v)
	}
	*m = *parsed
	return nil
}

// MarshalJSON writes the keys in order.
func (m *Map) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, key := range m.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		k, err := json.Marshal(key)
		if err != nil {
			return nil, err
		}
		v, err := json.Marshal(m.values[key])
		if err != nil {
			return nil, err
		}
		b.Write(k)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// maxJSONDepth bounds the nesting of what templates are given.
const maxJSONDepth = 200

// ParseJSON decodes one JSON value: objects as *Map, numbers as json.Number, so
// that integers stay integers, and the rest as encoding/json has it.
func ParseJSON(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	v, err := parseJSONValue(dec, 0)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text follows the JSON value")
	}
	return v, nil
}

func parseJSONValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("JSON nests more than %d deep", maxJSONDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		m := &Map{values: map[string]any{}}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := parseJSONValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			m.Set(key.(string), v) // the decoder lets only strings be keys
		}
		_, err := dec.Token()
		return m, err
	case json.Delim('['):
		items := []any{}
		for dec.More() {
			v, err := parseJSONValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			items = append(items, v)
		}
		_, err := dec.Token()
		return items, err
	}
	return tok, nil
}
