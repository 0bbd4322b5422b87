package grammar

// Inside a string nearly all of a vocabulary is allowed, and walking all of its trie to
// find that out is what makes the first mask of a grammar slow. So the trie knows which
// of its subtrees are plain text, a grammar knows which of its states read plain text
// and stay as they are, and where the two meet a subtree is allowed at one stroke.

// utf8Step is the plain text's automaton: UTF-8 without control characters, quotation
// marks and backslashes. Its states are what the next byte must be.
func utf8Step(s utf8State, b byte) (utf8State, bool) {
	switch s {
	case utf8Begin:
		switch {
		case b >= 0x20 && b < 0x7F:
			return utf8Begin, b != '"' && b != '\\'
		case b >= 0xC2 && b <= 0xDF:
			return utf8Last, true
		case b == 0xE0:
			return utf8E0, true
		case b == 0xED:
			return utf8ED, true
		case b >= 0xE1 && b <= 0xEF:
			return utf8Two, true
		case b == 0xF0:
			return utf8F0, true
		case b >= 0xF1 && b <= 0xF3:
			return utf8Three, true
		case b == 0xF4:
			return utf8F4, true
		}
		return 0, false
	case utf8Last:
		return utf8Begin, b >= 0x80 && b <= 0xBF
	case utf8Two:
		return utf8Last, b >= 0x80 && b <= 0xBF
	case utf8Three:
		return utf8Two, b >= 0x80 && b <= 0xBF
	case utf8E0:
		return utf8Last, b >= 0xA0 && b <= 0xBF
	case utf8ED:
		return utf8Last, b >= 0x80 && b <= 0x9F
	case utf8F0:
		return utf8Two, b >= 0x90 && b <= 0xBF
	default: // utf8F4
		return utf8Two, b >= 0x80 && b <= 0x8F
	}
}

type utf8State uint8

const (
	utf8Begin utf8State = iota
	utf8Last
	utf8Two
	utf8Three
	utf8E0
	utf8ED
	utf8F0
	utf8F4
	utf8States
)

// findText fills in which subtrees of the trie are plain text that begins with a
// character, and how many characters begin in each at most.
func (t *Vocab) findText() {
	n := len(t.label)
	t.text = make([]bool, n)
	t.chars = make([]uint16, n)
	// below[i] has bit s if all that is below node i is text from state s on.
	below := make([]uint8, n)
	for i := range below {
		below[i] = 0xFF
	}
	var path []int32 // from the root to node i
	parent := make([]int32, n)
	for i := range int32(n) {
		d := int(t.depth[i])
		path = append(path[:d], i)
		if d > 0 {
			parent[i] = path[d-1]
		}
	}
	for i := n - 1; i > 0; i-- {
		var ok uint8
		for s := range utf8States {
			if to, valid := utf8Step(s, t.label[i]); valid && below[i]>>to&1 != 0 {
				ok |= 1 << s
			}
		}
		t.text[i] = ok>>utf8Begin&1 != 0
		if t.label[i]&0xC0 != 0x80 {
			t.chars[i]++
		}
		p := parent[i]
		below[p] &= ok
		t.chars[p] = max(t.chars[p], t.chars[i])
	}
}

// markText finds the states that read any character of plain text and are then where
// they were, but for the count of a counted loop.
func (g *Grammar) markText() {
	for s := range g.states {
		st := &g.states[s]
		st.text = st.quiet && g.rawNext(int32(s), 'a') == int32(s) && g.staysInText(int32(s))
	}
}

func (g *Grammar) staysInText(home int32) bool {
	type place struct {
		state int32
		utf8  utf8State
	}
	seen := map[place]bool{{home, utf8Begin}: true}
	work := []place{{home, utf8Begin}}
	for len(work) > 0 {
		p := work[len(work)-1]
		work = work[:len(work)-1]
		if st := &g.states[p.state]; !st.quiet || p.state != home && st.hub >= 0 {
			return false
		}
		for b := range 256 {
			u, ok := utf8Step(p.utf8, byte(b))
			if !ok {
				continue
			}
			to := g.rawNext(p.state, byte(b))
			if to < 0 || (u == utf8Begin) != (to == home) {
				return false
			}
			if hub := g.states[home].hub; p.state == home && hub >= 0 && g.hubs[hub].exit.has(byte(b)) {
				return false
			}
			if next := (place{to, u}); !seen[next] {
				seen[next] = true
				work = append(work, next)
			}
		}
	}
	return true
}

// allText says whether all tokens of a plain subtree can be read from an item.
func (w *walker) allText(it item, node int32) bool {
	st := &w.g.states[it.state]
	if !st.text || !w.v.text[node] {
		return false
	}
	return st.hub < 0 || w.g.hubs[st.hub].max-it.count >= int32(w.v.chars[node])
}
