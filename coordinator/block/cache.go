package block

import "fmt"

const none int32 = -1

// list is the cached blocks in the order in which they were given up, linked
// through state.
type list struct {
	oldest, newest int32
	len            int
}

// Publish says that b, which is owned, is full and holds the content of h in
// every step planned from now on. If another block holds it already, that one
// stays the one to be found.
func (p *Pool) Publish(b int32, h Hash) {
	s := &p.blocks[b]
	if s.owners == 0 || s.known {
		panic(fmt.Sprintf("block: %d published, with %d owners, twice %v", b, s.owners, s.known))
	}
	if _, ok := p.byHash[h]; ok {
		return
	}
	s.hash, s.known = h, true
	p.byHash[h] = b
}

// Lookup finds the block that holds the content of h.
func (p *Pool) Lookup(h Hash) (int32, bool) {
	b, ok := p.byHash[h]
	return b, ok
}

// Clear forgets all content: the ranks that held it are gone.
func (p *Pool) Clear() {
	for p.cached.len > 0 {
		p.empty.push(p.evict())
	}
	for i := range p.blocks {
		p.blocks[i].known = false
	}
	clear(p.byHash)
}

// evict takes the least recently used cached block out of the cache.
func (p *Pool) evict() int32 {
	b := p.cached.oldest
	p.unlink(b)
	delete(p.byHash, p.blocks[b].hash)
	p.blocks[b].known = false
	return b
}

// link makes b the most recently used cached block.
func (p *Pool) link(b int32) {
	s := &p.blocks[b]
	s.older, s.newer = p.cached.newest, none
	if s.older == none {
		p.cached.oldest = b
	} else {
		p.blocks[s.older].newer = b
	}
	p.cached.newest = b
	p.cached.len++
}

func (p *Pool) unlink(b int32) {
	s := &p.blocks[b]
	if s.older == none {
		p.cached.oldest = s.newer
	} else {
		p.blocks[s.older].newer = s.newer
	}
	if s.newer == none {
		p.cached.newest = s.older
	} else {
		p.blocks[s.newer].older = s.older
	}
	p.cached.len--
}

// CheckIntegrity reports the first broken invariant: a block in no state or in
// two, content that is found in the wrong block.
func (p *Pool) CheckIntegrity() error {
	seen := make([]bool, len(p.blocks))
	mark := func(b int32, known bool) error {
		if seen[b] || p.blocks[b].owners != 0 || p.blocks[b].known != known {
			return fmt.Errorf("block: %d is listed as free (content known: %v) and is something else too", b, known)
		}
		seen[b] = true
		return nil
	}
	for _, b := range p.empty {
		if err := mark(b, false); err != nil {
			return err
		}
	}
	n := 0
	for b := p.cached.oldest; b != none; b = p.blocks[b].newer {
		if err := mark(b, true); err != nil {
			return err
		}
		n++
	}
	if n != p.cached.len {
		return fmt.Errorf("block: %d cached blocks are linked, %d counted", n, p.cached.len)
	}
	used, known := 0, 0
	for b, s := range p.blocks {
		if s.owners > 0 {
			used++
		}
		if s.known {
			known++
			if p.byHash[s.hash] != int32(b) {
				return fmt.Errorf("block: the content of %d is found in another block", b)
			}
		}
	}
	if known != len(p.byHash) {
		return fmt.Errorf("block: %d blocks have known content, %d can be found", known, len(p.byHash))
	}
	if used != p.used || used+n+len(p.empty) != len(p.blocks) {
		return fmt.Errorf("block: %d used (counted %d) + %d cached + %d empty != %d", used, p.used, n, len(p.empty), len(p.blocks))
	}
	return nil
}
