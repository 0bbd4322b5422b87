package toolcall

import "strings"

// valueReader finds the end of a JSON value that comes in pieces: it follows strings
// and brackets, nothing else.
type valueReader struct {
	depth             int
	inString, escaped bool
	started, scalar   bool
	quoted            bool   // the value is a string
	text              string // kept by the user, where the value is to be seen whole
}

// wrapped says that the value is no object and no array.
func (r *valueReader) wrapped() bool { return r.quoted || r.scalar }

// read reads on: how many bytes of s belong to the value, and whether it ended there.
// With a depth of 1 to begin with it reads to the end of an object that is open.
func (r *valueReader) read(s string) (n int, done bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case r.inString:
			switch {
			case r.escaped:
				r.escaped = false
			case c == '\\':
				r.escaped = true
			case c == '"':
				r.inString = false
				if r.depth == 0 {
					return i + 1, true
				}
			}
		case r.scalar:
			if strings.IndexByte(space+",}]", c) >= 0 {
				return i, true
			}
		case c == '"':
			r.inString = true
			r.quoted = r.quoted || r.depth == 0 && !r.started
		case c == '{', c == '[':
			r.depth++
		case c == '}', c == ']':
			if r.depth--; r.depth <= 0 {
				return i + 1, true
			}
		case r.depth == 0 && strings.IndexByte(space, c) < 0:
			r.scalar = true
		}
		r.started = true
	}
	return len(s), false
}
