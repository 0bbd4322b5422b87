package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/sullae/sullae/"

// TestImports holds the packages to ARCHITECTURE.md: imports point one way, and
// the pure packages stay pure. Each ban has a reason.
func TestImports(t *testing.T) {
	bans := []struct{ from, to, reason string }{
		{"coordinator", "worker", "they share proto, collective and shard; a coordinator runs where no worker can"},
		{"worker", "coordinator", "a worker is told everything over the wire"},
		{"collective", "worker", "imports point down"},
		{"collective", "coordinator", "imports point down"},
		{"shard", "collective", "what a model is does not depend on who runs it"},
		{"shard", "worker", "imports point down"},
		{"shard", "coordinator", "imports point down"},
		{"kernels", "shard", "arithmetic knows nothing of checkpoints"},
		{"kernels", "collective", "arithmetic knows nothing of ranks"},
		{"ops", "worker", "ops is given its answers"},
		{"ops", "coordinator", "ops is given its answers"},
		{"ops", "collective", "ops is given its answers"},
		{"coordinator/edge", "coordinator/group", "who asks is no matter of the group"},
		{"proto", "worker", "proto is a leaf"},
		{"proto", "coordinator", "proto is a leaf"},
		{"kernels", "google.golang.org/grpc", "arithmetic does no I/O"},
		{"shard/plan", "google.golang.org/grpc", "plans are pure"},
		{"shard/plan", "time", "plans are pure"},
		{"coordinator/sched", "time", "the scheduler reads no clock"},
		{"coordinator/sched", "google.golang.org/grpc", "the scheduler does no I/O"},
		{"coordinator/block", "time", "the pool is pure"},
		{"coordinator/grammar", "time", "equal prefixes give equal masks"},
		{"coordinator/grammar", "google.golang.org/grpc", "grammars do no I/O"},
		{"collective/allreduce", "google.golang.org/grpc", "algorithms do no I/O"},
		{"worker/sample", "google.golang.org/grpc", "sampling is pure"},
		{"worker/engine", "google.golang.org/grpc", "the engine is given its links"},
		{"worker", "go.etcd.io/etcd/server", "the etcd server is the coordinator's"},
	}
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); packages++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, i := range p.Imports {
			to := strings.TrimPrefix(i, module)
			for _, b := range bans {
				if under(from, b.from) && under(to, b.to) {
					t.Errorf("%s imports %s: %s", from, to, b.reason)
				}
			}
		}
	}
	if packages < 20 {
		t.Errorf("only %d packages listed", packages)
	}
}

func under(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
