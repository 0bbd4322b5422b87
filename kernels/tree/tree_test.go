package tree

import (
	"fmt"
	"testing"
)

// sum writes the order of additions of the tree over [lo, hi), given the values
// of the subtrees that are there already.
func sum(lo, hi int, have map[Range]string) string {
	Fold(Range{lo, hi},
		func(r Range) bool { return have[r] != "" },
		func(l, r Range) { have[Range{l.Lo, r.Hi}] = "(" + have[l] + "+" + have[r] + ")" })
	return have[Range{lo, hi}]
}

func leaves(n int) map[Range]string {
	have := map[Range]string{}
	for i := range n {
		have[Range{i, i + 1}] = fmt.Sprint(i)
	}
	return have
}

func TestShape(t *testing.T) {
	for n, want := range map[int]string{
		1: "0",
		2: "(0+1)",
		3: "((0+1)+2)",
		5: "(((0+1)+(2+3))+4)",
		7: "(((0+1)+(2+3))+((4+5)+6))",
	} {
		if got := sum(0, n, leaves(n)); got != want {
			t.Errorf("%d leaves: %s, want %s", n, got, want)
		}
	}
}

// TestAnySpread: ranks that fold what they hold whole leave the same additions
// to be done as one rank, wherever the leaves are cut.
func TestAnySpread(t *testing.T) {
	for n := 1; n <= 20; n++ {
		want := sum(0, n, leaves(n))
		for a := 0; a <= n; a++ {
			for b := a; b <= n; b++ {
				have := map[Range]string{}
				for _, rank := range []Range{{0, a}, {a, b}, {b, n}} {
					next := rank.Lo
					for _, node := range Maximal(n, rank) {
						if node.Lo != next || node.Empty() {
							t.Fatalf("Maximal(%d, %v): %v does not follow %d", n, rank, node, next)
						}
						next = node.Hi
						have[node] = sum(node.Lo, node.Hi, leaves(n))
					}
					if next != rank.Hi {
						t.Fatalf("Maximal(%d, %v) ends at %d", n, rank, next)
					}
				}
				if got := sum(0, n, have); got != want {
					t.Fatalf("%d leaves cut at %d and %d: %s, want %s", n, a, b, got, want)
				}
			}
		}
	}
}

func TestFoldNeedsLeaves(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a missing leaf went unnoticed")
		}
	}()
	sum(0, 3, map[Range]string{{0, 1}: "0"})
}
