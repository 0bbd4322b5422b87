package e2e

import (
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sullae/sullae/coordinator/embedetcd"
)

// TestFailover: the leading coordinator is killed. The one that stands by leads,
// the workers keep their processes and their shares, and the bits are the same.
func TestFailover(t *testing.T) {
	etcd, err := embedetcd.Start(t.Context(), embedetcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { etcd.Close() })
	addr := etcd.Endpoints()[0]
	coordinator := func(id string) *process {
		return launch(t, "coordinator", "--id", id, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0",
			"--gossip", "127.0.0.1:0", "--etcd", addr, "--workers", "2")
	}
	first := coordinator("first")
	for i := range 2 {
		worker(t, "--id", fmt.Sprint("w", i), "--etcd", addr)
	}
	first.awaitReady()
	want, err := first.stream(4)
	if err != nil {
		t.Fatal(err)
	}
	before, err := first.status()
	if err != nil {
		t.Fatal(err)
	}
	second := coordinator("second")
	eventually(t, 10*time.Second, "the second has started", func() bool { return second.logged("standing by") })

	first.stop(syscall.SIGKILL)
	killed := time.Now()
	second.awaitReady()
	t.Logf("the second serves %.1f s after the first was killed", time.Since(killed).Seconds())
	got, err := second.stream(4)
	if err != nil || !reflect.DeepEqual(got.Choices, want.Choices) {
		t.Errorf("after failover: %v, or other bits", err)
	}
	after, err := second.status()
	if err != nil {
		t.Fatal(err)
	}
	if after.Group.Epoch <= before.Group.Epoch || after.Coordinator != "second" {
		t.Errorf("epoch %d of %s, before %d", after.Group.Epoch, after.Coordinator, before.Group.Epoch)
	}
	for i, w := range before.Workers {
		if !alive(w.PID) || after.Workers[i].ID != w.ID {
			t.Errorf("rank %d was %s and is %s", i, w.ID, after.Workers[i].ID)
		}
	}
}

// logged reports whether the process has logged a message.
func (p *process) logged(message string) bool { return strings.Contains(p.log.String(), message) }
