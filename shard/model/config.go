package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// fields reads the members of a JSON object that a file holds, each with its
// check. The first failure is kept in err and names the file and the field;
// after it every getter returns zero, so that a reader can be written straight
// down and ask once.
type fields struct {
	file   string // "/models/exaone/config.json"
	prefix string // "rope_scaling." inside a nested object
	raw    map[string]json.RawMessage
	err    error
}

// parseObject reads data as one JSON object.
func parseObject(data []byte, file string) (*fields, error) {
	f := &fields{file: file}
	if err := json.Unmarshal(data, &f.raw); err != nil {
		return nil, fmt.Errorf("%s: not a JSON object: %w (NaN and Infinity are not JSON either)", file, err)
	}
	if f.raw == nil {
		return nil, fmt.Errorf("%s: null where a JSON object belongs", file)
	}
	return f, nil
}

// fail keeps the first failure.
func (f *fields) fail(key, format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("%s: %s%s: %s", f.file, f.prefix, key, fmt.Sprintf(format, args...))
	}
}

// has reports whether key is there and not null.
func (f *fields) has(key string) bool {
	v, ok := f.raw[key]
	return ok && !bytes.Equal(bytes.TrimSpace(v), []byte("null"))
}

// mentions reports whether key is there, be it null.
func (f *fields) mentions(key string) bool {
	_, ok := f.raw[key]
	return ok
}

// require fails where key is missing or null.
func (f *fields) require(key string) bool {
	if f.err == nil && !f.has(key) {
		f.fail(key, "missing; take the config.json that belongs to the weights")
	}
	return f.err == nil
}

// show is a value as an error quotes it, cut to a sane length.
func (f *fields) show(key string) string {
	s := strings.Join(strings.Fields(string(f.raw[key])), " ")
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return s
}

// number decodes a JSON number. Go's decoder takes "null" for any type and a
// quoted number for json.Number, so the first byte decides.
func (f *fields) number(key string) (json.Number, bool) {
	v := bytes.TrimSpace(f.raw[key])
	if len(v) == 0 || (v[0] != '-' && (v[0] < '0' || v[0] > '9')) {
		return "", false
	}
	return json.Number(v), true
}

// count is a required whole number in [lo, hi]. 4096.0 is not one: it is
// not what any publisher writes, and a sign of a damaged file.
func (f *fields) count(key string, lo, hi int) int {
	if !f.require(key) {
		return 0
	}
	num, ok := f.number(key)
	if !ok {
		f.fail(key, "%s is not a number; a whole number in [%d, %d] belongs here", f.show(key), lo, hi)
		return 0
	}
	n, err := num.Int64()
	if err != nil {
		f.fail(key, "%s is not a whole number in [%d, %d]", f.show(key), lo, hi)
		return 0
	}
	if n < int64(lo) || n > int64(hi) {
		f.fail(key, "%d is out of range; a whole number in [%d, %d] belongs here", n, lo, hi)
		return 0
	}
	return int(n)
}

// real is a required finite number in (lo, hi].
func (f *fields) real(key string, lo, hi float64) float64 {
	if !f.require(key) {
		return 0
	}
	num, ok := f.number(key)
	if !ok {
		f.fail(key, "%s is not a number", f.show(key))
		return 0
	}
	v, err := num.Float64()
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		f.fail(key, "%s is not a finite number", f.show(key))
		return 0
	}
	if v <= lo || v > hi {
		f.fail(key, "%g is out of range; a number above %g and at most %g belongs here", v, lo, hi)
		return 0
	}
	return v
}

// flag is an optional boolean.
func (f *fields) flag(key string, absent bool) bool {
	if f.err != nil || !f.has(key) {
		return absent
	}
	switch f.show(key) {
	case "true":
		return true
	case "false":
		return false
	}
	f.fail(key, "%s is neither true nor false", f.show(key))
	return absent
}

// text is a required string.
func (f *fields) text(key string) string {
	if !f.require(key) {
		return ""
	}
	var s string
	if err := json.Unmarshal(f.raw[key], &s); err != nil {
		f.fail(key, "%s is not a string", f.show(key))
	}
	return s
}

// object is an optional nested object; nil where it is missing, null or wrong.
func (f *fields) object(key string) *fields {
	if f.err != nil || !f.has(key) {
		return nil
	}
	in := &fields{file: f.file, prefix: f.prefix + key + "."}
	if err := json.Unmarshal(f.raw[key], &in.raw); err != nil {
		f.fail(key, "%s is not an object", f.show(key))
		return nil
	}
	return in
}

// tokens is an optional token id or list of token ids, each in [0, vocab);
// nil where it is missing or null.
func (f *fields) tokens(key string, vocab int) []int32 {
	if f.err != nil || !f.has(key) {
		return nil
	}
	list := &fields{file: f.file, prefix: f.prefix}
	var items []json.RawMessage
	if json.Unmarshal(f.raw[key], &items) != nil {
		items = []json.RawMessage{f.raw[key]}
	}
	if len(items) > maxSpecial {
		f.fail(key, "%d ids; at most %d belong here", len(items), maxSpecial)
		return nil
	}
	var out []int32
	for i, item := range items {
		name := key
		if len(items) > 1 {
			name = fmt.Sprintf("%s[%d]", key, i)
		}
		list.raw = map[string]json.RawMessage{name: item}
		out = append(out, int32(list.count(name, 0, vocab-1)))
	}
	if list.err != nil {
		f.err = fmt.Errorf("%w (the vocabulary has %d ids)", list.err, vocab)
		return nil
	}
	return out
}
