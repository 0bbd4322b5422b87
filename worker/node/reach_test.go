package node

import (
	"testing"
	"time"
)

// TestReach: who falls silent while it is waited for is named after two seconds,
// no sooner, and nobody else is.
func TestReach(t *testing.T) {
	const tick = askEvery
	cut := func(from, to time.Duration) func(time.Duration) bool {
		return func(at time.Duration) bool { return at < from || at >= to }
	}
	long := time.Minute
	for name, c := range map[string]struct {
		answers func(at time.Duration) bool // of rank 1
		waits   func(at time.Duration) bool // for rank 1
		skip    [2]time.Duration            // no look in between: this process was stopped
		after   time.Duration               // of the cut's beginning at 5 s until it is named; 0: never
	}{
		"cut for good":             {answers: cut(5*time.Second, long), after: unreachableAfter},
		"cut of 1.8 s":             {answers: cut(5*time.Second, 6800*time.Millisecond)},
		"computes for a minute":    {answers: cut(long, long)},
		"never answered":           {answers: cut(0, long)},
		"not waited for":           {answers: cut(5*time.Second, long), waits: cut(5*time.Second, long)},
		"waited for later":         {answers: cut(5*time.Second, long), waits: cut(5*time.Second, 9*time.Second), after: 4*time.Second + unreachableAfter},
		"this process was stopped": {answers: cut(5*time.Second, 8200*time.Millisecond), skip: [2]time.Duration{5 * time.Second, 8 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			start, at := time.Unix(0, 0), time.Duration(0)
			r := newReach(3, func(p int) bool { return p != 1 || c.answers(at) })
			r.last = start
			named := time.Duration(-1)
			for at = tick; at < long/2; at += tick {
				if at > c.skip[0] && at < c.skip[1] {
					continue
				}
				waiting := []int{1, 2}
				if c.waits != nil && !c.waits(at) {
					waiting = []int{2}
				}
				if lost := r.look(start.Add(at), waiting); lost != nil {
					if lost.Rank != 1 {
						t.Fatalf("rank %d is named at %v", lost.Rank, at)
					}
					named = at - 5*time.Second
					break
				}
			}
			switch {
			case c.after == 0 && named >= 0:
				t.Errorf("named after %v", named)
			case c.after > 0 && (named < c.after-tick || named > c.after+2*tick):
				t.Errorf("named after %v, want %v", named, c.after)
			}
		})
	}
}
