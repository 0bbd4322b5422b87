package tokenizer

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
)

const (
	cacheSlots    = 1 << 14
	maxCachedWord = 48 // bytes
)

// wordCache remembers the ids of short words: text repeats its words. A word has
// one slot, and the last to come keeps it, so memory is bounded and no lock is
// needed.
type wordCache struct {
	seed  maphash.Seed
	slots []atomic.Pointer[cachedWord]
}

type cachedWord struct {
	word string
	ids  []int32
}

func newWordCache() *wordCache {
	return &wordCache{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[cachedWord], cacheSlots)}
}

func (c *wordCache) slot(word string) *atomic.Pointer[cachedWord] {
	return &c.slots[maphash.String(c.seed, word)%cacheSlots]
}

// get's ids are shared: read only.
func (c *wordCache) get(word string) ([]int32, bool) {
	e := c.slot(word).Load()
	if e == nil || e.word != word {
		return nil, false
	}
	return e.ids, true
}

// put copies both, because word is a slice of a whole prompt.
func (c *wordCache) put(word string, ids []int32) {
	c.slot(word).Store(&cachedWord{strings.Clone(word), slices.Clone(ids)})
}
