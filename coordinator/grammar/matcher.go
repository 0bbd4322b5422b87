package grammar

// Matcher follows one sequence of tokens through a grammar. It is for one goroutine;
// matchers of one grammar may run at the same time.
type Matcher struct {
	g     *Grammar
	v     *Vocab
	cache *cache
	m     *machine
	// prefix[i] are the readings after i tokens: what makes Rollback free.
	prefix [][]item
	// ended: the last token was an end token.
	ended bool

	next, spare []item
	done        map[pieceAt]struct{} // by the mask being made
	work        int                  // and what its pieces took
}

// Start returns a matcher at the beginning of a text.
func (g *Grammar) Start(v *Vocab) *Matcher {
	return &Matcher{g: g, v: v, cache: g.cacheFor(v), m: newMachine(g), prefix: [][]item{g.first()}}
}

func (g *Grammar) first() []item {
	s, count := g.begin(g.start)
	return []item{{s, count, &frame{root: true}}}
}

func (m *Matcher) items() []item { return m.prefix[len(m.prefix)-1] }

// Len is the number of tokens accepted and not rolled back.
func (m *Matcher) Len() int { return len(m.prefix) - 1 }

// Accept reads a token. Where the grammar doesn't allow it, Accept returns false and
// nothing changes. After an end token nothing is allowed.
func (m *Matcher) Accept(token int32) bool {
	if m.ended || token < 0 || int(token) >= m.v.size {
		return false
	}
	if m.v.isEnd(token) {
		if !m.Complete() {
			return false
		}
		m.prefix = append(m.prefix, m.items())
		m.ended = true
		return true
	}
	text := m.v.tokens[token]
	if len(text) == 0 {
		return false
	}
	m.next = append(m.next[:0], m.items()...)
	for _, b := range text {
		m.spare = m.m.step(m.spare[:0], m.next, b)
		m.next, m.spare = m.spare, m.next
		if len(m.next) == 0 {
			return false
		}
	}
	m.prefix = append(m.prefix, append([]item(nil), m.next...))
	return true
}

// Rollback takes back the last n tokens, such as drafts that were not confirmed.
func (m *Matcher) Rollback(n int) {
	if n <= 0 {
		return
	}
	if n >= len(m.prefix) {
		panic("grammar: rollback past the beginning")
	}
	m.prefix = m.prefix[:len(m.prefix)-n]
	m.ended = false
}

// Clone returns a matcher at the same place that goes its own way.
func (m *Matcher) Clone() *Matcher {
	return &Matcher{
		g: m.g, v: m.v, cache: m.cache, m: newMachine(m.g),
		prefix: m.prefix[:len(m.prefix):len(m.prefix)], ended: m.ended,
	}
}

// Complete says whether the text so far is whole: whether an end token is allowed.
func (m *Matcher) Complete() bool { return !m.ended && m.m.ends(m.items()) }

// Ended says whether the last token was an end token.
func (m *Matcher) Ended() bool { return m.ended }

// Forced returns the bytes that must come next, as far as there is no choice, at most
// some hundred; none where the text may end.
func (m *Matcher) Forced() []byte {
	if m.ended {
		return nil
	}
	var out []byte
	items, spare := append([]item(nil), m.items()...), []item(nil)
	for len(out) < maxForced && !m.m.ends(items) {
		set := m.m.next(items)
		b, one := set.only()
		if !one {
			break
		}
		out = append(out, b)
		spare = m.m.step(spare[:0], items, b)
		items, spare = spare, items
	}
	return out
}

// Match says whether the grammar has the whole text.
func (g *Grammar) Match(text []byte) bool {
	m := newMachine(g)
	items, spare := g.first(), []item(nil)
	for _, b := range text {
		spare = m.step(spare[:0], items, b)
		items, spare = spare, items
		if len(items) == 0 {
			return false
		}
	}
	return m.ends(items)
}
