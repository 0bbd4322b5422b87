package coordinator

import (
	"testing"

	"github.com/sullae/sullae/collective/registry"
)

// A leader that serves otherwise is told of once, the next one again.
func TestOtherwise(t *testing.T) {
	p := &peers{all: map[string]registry.Coordinator{
		"old":  {ID: "old", Instance: "1"}, // of a version that does not say
		"same": {ID: "same", Instance: "2", Serves: "q8"},
		"a":    {ID: "a", Instance: "3", Serves: "q4"},
		"b":    {ID: "b", Instance: "4", Serves: "none"},
	}}
	for i, step := range []struct {
		leader string
		want   bool
	}{{"", false}, {"old", false}, {"same", false}, {"a", true}, {"a", false}, {"b", true}, {"gone", false}} {
		p.setLeader(step.leader, true)
		if leader, differs := p.otherwise("q8"); differs != step.want || differs && leader.ID != step.leader {
			t.Errorf("step %d: %v of %q", i, differs, leader.ID)
		}
	}
}
