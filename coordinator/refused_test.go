package coordinator

import (
	"strings"
	"testing"

	"github.com/sullae/sullae/collective/registry"
)

// TestOtherClass: a worker is of no use where every group computes in another
// class, and only then.
func TestOtherClass(t *testing.T) {
	cpu, gpu := registry.Worker{Class: "cpu-f32"}, registry.Worker{Class: "cuda-f32"}
	for _, c := range []struct {
		worker registry.Worker
		ranks  []registry.Worker
		other  bool
	}{
		{cpu, nil, false}, {cpu, []registry.Worker{cpu}, false}, {gpu, []registry.Worker{cpu}, true}, {gpu, []registry.Worker{cpu, gpu}, false},
	} {
		why := otherClass(c.worker, c.ranks)
		if c.other != (why != "") || c.other && (!strings.Contains(why, "cuda-f32") || !strings.Contains(why, "cpu-f32")) {
			t.Errorf("%s beside %v: %q", c.worker.Class, c.ranks, why)
		}
	}
}
