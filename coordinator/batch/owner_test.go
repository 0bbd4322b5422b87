package batch

import (
	"testing"

	"github.com/sullae/sullae/coordinator/gateway"
)

// TestSees: keys see their own, admins all; where there are no keys, all see all.
func TestSees(t *testing.T) {
	for _, c := range []struct {
		caller gateway.Caller
		owner  string
		want   bool
	}{
		{gateway.Caller{}, "", true}, {gateway.Caller{}, "alice", true}, {gateway.Caller{Name: "alice"}, "alice", true},
		{gateway.Caller{Name: "bob"}, "alice", false}, {gateway.Caller{Name: "bob"}, "", false}, {gateway.Caller{Name: "root", Admin: true}, "alice", true},
	} {
		if got := sees(c.caller, c.owner); got != c.want {
			t.Errorf("%+v sees what %q has made: %v", c.caller, c.owner, got)
		}
	}
}
