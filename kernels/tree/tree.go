// Package tree is the one fixed reduction tree of Sullae: over n leaves, split
// at the largest power of two below n, the left subtree added to the right one.
// The tree depends on n alone, never on how many workers share the leaves, so a
// sum has the same bits however the leaves are spread. A worker folds the
// subtrees that it holds whole (Maximal); the all-reduce folds the rest
// (Fold over the whole tree). DESIGN.md calls this rule 1.
//
// The package owns the shape only: what a leaf is, and how two values are
// added, is the caller's.
package tree

import "math/bits"

// Range is the half-open range of leaves [Lo, Hi).
type Range struct{ Lo, Hi int }

// Len is the number of leaves in r.
func (r Range) Len() int { return r.Hi - r.Lo }

// Empty reports whether r holds no leaf.
func (r Range) Empty() bool { return r.Hi <= r.Lo }

// Split is the number of leaves in the left subtree of a tree over n >= 2
// leaves: the largest power of two below n.
func Split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Maximal lists, in order, the subtrees of the tree over n leaves that lie
// wholly within r and in no larger such subtree. Their concatenation is r.
// An empty r has none.
func Maximal(n int, r Range) []Range {
	var out []Range
	var walk func(node Range)
	walk = func(node Range) {
		if node.Hi <= r.Lo || node.Lo >= r.Hi {
			return
		}
		if r.Lo <= node.Lo && node.Hi <= r.Hi {
			out = append(out, node)
			return
		}
		mid := node.Lo + Split(node.Len())
		walk(Range{node.Lo, mid})
		walk(Range{mid, node.Hi})
	}
	if n > 0 && !r.Empty() {
		walk(Range{0, n})
	}
	return out
}

// Fold visits the tree over node bottom-up: have reports whether a subtree's
// value is there already (such a subtree is not entered), and add must leave
// left+right where left's value was; right's value is not used again. After
// Fold the value of the whole of node stands where node's leftmost subtree
// stood. A single leaf for which have is false is a broken invariant.
func Fold(node Range, have func(Range) bool, add func(left, right Range)) {
	if have(node) {
		return
	}
	if node.Len() < 2 {
		panic("tree: a leaf has no value")
	}
	mid := node.Lo + Split(node.Len())
	l, r := Range{node.Lo, mid}, Range{mid, node.Hi}
	Fold(l, have, add)
	Fold(r, have, add)
	add(l, r)
}
