package toolcall

import (
	"encoding/json"
	"strings"
)

// maxHead is how long an object may be before its name and its arguments' beginning
// are known.
const maxHead = 16 << 10

// head is the beginning of a call's object.
type head struct {
	name      string
	arguments string // of an object that names them first: whole
	at        int    // where the arguments' value begins, or what is left of the object
	value     bool   // the value begins at at
}

type verdict uint8

const (
	needMore verdict = iota
	isCall
	notCall
)

// object reads a call as a JSON object; then is the step after it. knownOnly takes a
// tool of the request's alone.
func (p *Parser) object(last, knownOnly bool, then step) bool {
	h, v := readHead(p.held)
	if v == needMore && (last || len(p.held) > maxHead) || v == isCall && knownOnly && !p.known(h.name) {
		v = notCall
	}
	switch v {
	case needMore:
		return false
	case notCall:
		return p.noCall()
	}
	p.begin(h.name)
	p.held = p.held[h.at:]
	if !h.value {
		p.write(unwrap(h.arguments))
		p.step = func(p *Parser, _ bool) bool { return p.objectEnd(then) }
		p.value = valueReader{depth: 1}
		return true
	}
	p.value = valueReader{}
	p.step = func(p *Parser, last bool) bool {
		return p.arguments(last, func(p *Parser, _ bool) bool {
			p.value = valueReader{depth: 1}
			p.step = func(p *Parser, _ bool) bool { return p.objectEnd(then) }
			return true
		})
	}
	return true
}

// arguments lets a value out as it comes.
func (p *Parser) arguments(last bool, then step) bool {
	n, done := p.value.read(p.held)
	text := p.held[:n]
	p.held = p.held[n:]
	if p.value.wrapped() { // not an object: decoded when it is whole
		p.value.text += text
		text = ""
		if done || last {
			text = unwrap(p.value.text)
		}
	}
	p.write(text)
	if !done {
		return false
	}
	p.step = then
	return true
}

// objectEnd drops what is left of the object.
func (p *Parser) objectEnd(then step) bool {
	n, done := p.value.read(p.held)
	p.held = p.held[n:]
	if done {
		p.step = then
	}
	return done
}

// unwrap makes arguments of a value that need not be an object: some models write
// their JSON into a string; null and nothing are no arguments.
func unwrap(value string) string {
	value = strings.TrimSpace(value)
	if value == "" || value == "null" {
		return "{}"
	}
	var text string
	if json.Unmarshal([]byte(value), &text) == nil {
		return text
	}
	return value
}

// readHead reads an object up to the value of its arguments, or to its end.
func readHead(s string) (h head, v verdict) {
	i := skip(s, 0)
	if i == len(s) {
		return h, needMore
	}
	if s[i] != '{' {
		return h, notCall
	}
	i++
	for {
		if i = skip(s, i); i == len(s) {
			return h, needMore
		}
		key, end, ok := readValue(s, i)
		if !ok {
			return h, needMore
		}
		var name string
		if json.Unmarshal([]byte(key), &name) != nil {
			return h, notCall
		}
		if i = skip(s, end); i == len(s) {
			return h, needMore
		}
		if s[i] != ':' {
			return h, notCall
		}
		if i = skip(s, i+1); i == len(s) {
			return h, needMore
		}
		isArguments := name == "arguments" || name == "parameters"
		if isArguments && h.name != "" {
			h.at, h.value = i, true
			return h, isCall
		}
		value, end, ok := readValue(s, i)
		if !ok {
			return h, needMore
		}
		switch {
		case isArguments:
			h.arguments = value
		case name == "name":
			if json.Unmarshal([]byte(value), &h.name) != nil || h.name == "" {
				return h, notCall
			}
		}
		if i = skip(s, end); i == len(s) {
			return h, needMore
		}
		switch {
		case s[i] == ',':
			i++
		case s[i] == '}' && h.name != "": // no arguments, or they came first
			h.at = i
			return h, isCall
		default:
			return h, notCall
		}
	}
}

func skip(s string, i int) int {
	for i < len(s) && strings.IndexByte(space, s[i]) >= 0 {
		i++
	}
	return i
}

// readValue is the JSON value at s[i], without a check of what is in it; false where
// it is not whole.
func readValue(s string, i int) (value string, end int, ok bool) {
	var r valueReader
	n, done := r.read(s[i:])
	return s[i : i+n], i + n, done
}
