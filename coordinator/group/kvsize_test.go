package group

import (
	"slices"
	"strings"
	"testing"

	"github.com/sullae/sullae/collective/registry"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
)

// TestLimits: what a host or a GPU has is shared by all workers on it, what a rank holds
// already counts, and a worker's own limit goes before.
func TestLimits(t *testing.T) {
	on := func(host string) registry.Worker { return registry.Worker{Hostname: host} }
	told := func(limit, free, held int64) *clusterv1.GetStatusResponse {
		return &clusterv1.GetStatusResponse{MemoryLimitBytes: limit, MemoryFreeBytes: free, MemoryHeldBytes: held}
	}
	gpu := func(n string) registry.Worker { return registry.Worker{Hostname: "a", Device: n} }
	members := []registry.Worker{on("a"), on("a"), on("b"), on("c"), on("d"), gpu("0"), gpu("1"), gpu("1")}
	got := limits(members,
		[]*clusterv1.GetStatusResponse{told(0, 100, 30), told(0, 100, 20), told(0, 50, 0), told(40, 500, 9), told(0, 0, 7),
			told(0, 70, 10), told(0, 40, 20), told(0, 40, 20)},
		append(slices.Clone(members), on("a"), on("b")))
	if want := []int64{50, 50, 25, 40, 0, 80, 40, 40}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestTooSmall: the refusal says what there is, and what would help.
func TestTooSmall(t *testing.T) {
	m := memory{limit: 1000 << 20, weights: 900 << 20, work: 50 << 20, kvSlot: 1 << 20}
	if m.tokens() != 40 {
		t.Errorf("%d tokens", m.tokens())
	}
	err := m.tooSmall(3, 4096).Error()
	for _, want := range []string{"rank 3 may take 1000 MB", "900 MB of weights", "room for 40 tokens", "one context of 4096", "--memory", "--kv-tokens 40"} {
		if !strings.Contains(err, want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if err := m.tooMany(1, 51).Error(); m.most() != 50 || !strings.Contains(err, "--kv-tokens 51") || !strings.Contains(err, "room for 50 tokens") {
		t.Errorf("%d tokens: %s", m.most(), err)
	}
	m.weights = 2000 << 20
	if m.tokens() != 0 || strings.Contains(m.tooSmall(0, 1).Error(), "--kv-tokens") {
		t.Errorf("%d tokens beside weights that are too large", m.tokens())
	}
}
