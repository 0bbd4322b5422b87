package grammar

// pieceAt is a piece to add, and the frame whose callers go on from where it leaves.
type pieceAt struct {
	from *places
	it   item
}

// Mask writes the tokens that may come next to dst, one bit for each id (token id is
// bit id%64 of word id/64), and says whether there are any. dst has at least
// [Vocab.MaskWords] words; further ones become 0. What the mask allows, Accept takes.
//
// There are none after an end token, or where the vocabulary has no token for the
// bytes that the grammar asks for, which a byte-level vocabulary never lacks.
func (m *Matcher) Mask(dst []uint64) bool {
	if len(dst) < m.v.MaskWords() {
		panic("grammar: mask is shorter than the vocabulary")
	}
	clear(dst)
	if m.ended {
		return false
	}
	m.cache.trim()
	clear(m.done)
	if m.done == nil {
		m.done = map[pieceAt]struct{}{}
	}
	m.work = 0
	for _, it := range m.items() {
		m.addPiece(dst, m.cache.root, it)
	}
	if m.Complete() {
		for _, id := range m.v.ends {
			dst[id>>6] |= 1 << (id & 63)
		}
	}
	for _, w := range dst {
		if w != 0 {
			return true
		}
	}
	return false
}

// addPiece adds what an item allows from the given places, and what its callers allow
// from where its frame may end.
func (m *Matcher) addPiece(dst []uint64, from *places, it item) {
	at := pieceAt{from, it}
	if _, ok := m.done[at]; ok || m.work > maskWork {
		return
	}
	m.done[at] = struct{}{}
	p := m.cache.get(m.g, m.v, from, it)
	m.work += p.work + len(it.frame.returns)
	for i, w := range p.words {
		dst[i] |= w
	}
	for _, id := range p.sparse {
		dst[id>>6] |= 1 << (id & 63)
	}
	if p.leaves == nil {
		return
	}
	for _, ret := range it.frame.returns {
		m.addPiece(dst, p.leaves, ret)
	}
}
