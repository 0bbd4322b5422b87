package gateway

import "strings"

// stopMatcher looks for stop strings in a text that comes in pieces. The match
// that ends first wins, of several that end together the longest: so the result
// doesn't depend on where the pieces are cut, that is, on token boundaries.
type stopMatcher struct {
	stops []string
	// held is the text that isn't out yet: the longest end of the text so far
	// that begins a stop string.
	held string
}

// push takes the next piece and returns the text that can go out. If a stop
// string is met, it is returned too, the text ends before it, and the matcher
// must not be used again.
func (m *stopMatcher) push(piece string) (out, stop string) {
	if len(m.stops) == 0 || piece == "" {
		return piece, ""
	}
	// A stop string that isn't met yet can begin in held, never before it.
	text := m.held + piece
	end := len(text) + 1
	for _, s := range m.stops {
		i := strings.Index(text, s)
		if i < 0 {
			continue
		}
		if e := i + len(s); e < end || e == end && len(s) > len(stop) {
			end, stop = e, s
		}
	}
	if stop != "" {
		m.held = ""
		return text[:end-len(stop)], stop
	}
	keep := 0
	for _, s := range m.stops {
		for k := min(len(s)-1, len(text)); k > keep; k-- {
			if strings.HasSuffix(text, s[:k]) {
				keep = k
				break
			}
		}
	}
	cut := len(text) - keep
	m.held = text[cut:]
	return text[:cut], ""
}

// flush returns what was held back, at the end of a text without a stop string.
func (m *stopMatcher) flush() string {
	out := m.held
	m.held = ""
	return out
}
