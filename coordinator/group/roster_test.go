package group

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/sullae/sullae/collective/registry"
)

// TestRoster: a worker is in one group at a time, and what a new leader's groups
// had before is kept for them whoever of them comes first.
func TestRoster(t *testing.T) { synctest.Test(t, testRoster) }

func testRoster(t *testing.T) {
	w := func(ids ...string) (out []registry.Worker) {
		for _, id := range ids {
			out = append(out, registry.Worker{ID: id, Class: "cpu"})
		}
		return out
	}
	r := NewRoster(2)
	first := make(chan error)
	go func() { first <- r.arrive(t.Context(), "0", w("a", "b")) }()
	synctest.Wait()
	select {
	case <-first:
		t.Fatal("a group goes on before the other has told whom it had")
	default:
	}
	if err := r.arrive(t.Context(), "1", w("b", "c")); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	free := func(group, want string) {
		t.Helper()
		got := ""
		for _, id := range []string{"a", "b", "c", "d"} {
			if r.free(group, registry.Worker{ID: id, Class: "cpu"}) {
				got += id
			}
		}
		if got != want {
			t.Errorf("group %s may use %q, want %q", group, got, want)
		}
	}
	free("0", "abd") // b is said by both: whoever told first has it
	r.claim("0", w("a", "b"))
	r.claim("1", w("c"))
	free("0", "abd")
	free("1", "cd")
	if r.claim("1", w("c", "a")) {
		t.Error("group 1 takes a worker of group 0")
	}
	free("1", "cd")
	if !r.claim("0", w("b", "d")) { // a is lost
		t.Error("group 0 can't form anew")
	}
	free("0", "abd")
	free("1", "ac")

	other := registry.Worker{ID: "e", Class: "other"}
	if r.free("1", other) || r.claim("1", []registry.Worker{other}) {
		t.Error("groups of two arithmetic classes: a sequence that moves would change")
	}

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if NewRoster(2).arrive(gone, "0", nil) == nil {
		t.Error("waits for ever for the other group")
	}
	var none *Roster
	if !none.free("0", registry.Worker{ID: "a"}) || !none.claim("0", w("a")) || none.arrive(t.Context(), "0", nil) != nil {
		t.Error("a single group may use all")
	}
}
