package tokenizer

import "math/bits"

// merge is what a pair of neighbours becomes, and when: lower ranks go first.
type merge struct {
	rank uint32
	id   int32
}

// mergeTable maps pairs of ids to merges: open addressing with linear probing, at
// most half full. Looking a pair up is most of what encoding does.
type mergeTable struct {
	keys   []uint64
	values []merge
	shift  uint
}

// noPair marks an empty slot; ids are not negative, so no pair is all ones.
const noPair = ^uint64(0)

func newMergeTable(n int) *mergeTable {
	size := 1 << max(4, bits.Len(uint(2*n)))
	t := &mergeTable{
		keys:   make([]uint64, size),
		values: make([]merge, size),
		shift:  uint(64 - bits.Len(uint(size-1))),
	}
	for i := range t.keys {
		t.keys[i] = noPair
	}
	return t
}

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// slot is where key is, or the empty slot where it would go.
func (t *mergeTable) slot(key uint64) uint64 {
	i := key * 0x9E3779B97F4A7C15 >> t.shift // Fibonacci hashing
	mask := uint64(len(t.keys) - 1)
	for t.keys[i] != key && t.keys[i] != noPair {
		i = (i + 1) & mask
	}
	return i
}

func (t *mergeTable) put(left, right int32, m merge) {
	key := pairKey(left, right)
	i := t.slot(key)
	t.keys[i], t.values[i] = key, m
}

func (t *mergeTable) get(left, right int32) (merge, bool) {
	key := pairKey(left, right)
	i := t.slot(key)
	return t.values[i], t.keys[i] == key
}
