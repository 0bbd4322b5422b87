package gguf

import "math"

// Meta is the metadata: key to int64, uint64, float64, bool, string, or a slice of
// one of those. Whole numbers of up to 32 bits are int64, a uint64 stays one.
type Meta map[string]any

// Uint is a whole number that is not negative.
func (m Meta) Uint(key string) (uint64, bool) {
	switch v := m[key].(type) {
	case int64:
		return uint64(v), v >= 0
	case uint64:
		return v, true
	}
	return 0, false
}

// Float is a finite number.
func (m Meta) Float(key string) (float64, bool) {
	switch v := m[key].(type) {
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case int64:
		return float64(v), true
	}
	return 0, false
}

// Text is a string, "" where there is none.
func (m Meta) Text(key string) string {
	s, _ := m[key].(string)
	return s
}

// Flag is a boolean; known tells whether it is there.
func (m Meta) Flag(key string) (value, known bool) {
	value, known = m[key].(bool)
	return value, known
}
