package e2e

import (
	"fmt"
	"net"
	"reflect"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sullae/sullae/coordinator/embedetcd"
)

// TestHandover: a coordinator that stands by takes requests for the leader. The
// leader is asked to end in the middle of plain HTTP requests to both: none
// fails, and the next leader's answers have the same bits. No number of workers
// is given: the group is made of those that there are.
func TestHandover(t *testing.T) {
	long(t)
	etcd, err := embedetcd.Start(t.Context(), embedetcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { etcd.Close() })
	addr := etcd.Endpoints()[0]
	coordinator := func(id string) *process {
		http := net.JoinHostPort("127.0.0.1", freePort(t))
		p := launch(t, "coordinator", "--id", id, "--http", http, "--grpc", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0",
			"--gossip", "127.0.0.1:0", "--etcd", addr, "--workers", "0")
		p.http, p.model = "http://"+http, "demo"
		return p
	}
	first := coordinator("first")
	for i := range 2 {
		worker(t, "--id", fmt.Sprint("w", i), "--etcd", addr)
	}
	first.awaitReady()
	second := coordinator("second")
	eventually(t, 10*time.Second, "the second has started", func() bool { return second.logged("standing by") })

	var want [4]completion
	for i := range want {
		if want[i], err = first.stream(i); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := second.status(); err != nil || st.Coordinator != "first" || st.Group.WorldSize != 2 || st.Group.WorkersWanted != 2 {
		t.Errorf("the second's status is %+v, %v", st.Group, err)
	}
	var all sync.WaitGroup
	ask := func(p *process, i int) {
		all.Go(func() {
			got, err := p.stream(i)
			if err != nil || !reflect.DeepEqual(got.Choices, want[i].Choices) {
				t.Errorf("request %d: %v, or other bits", i, err)
			}
		})
	}
	for i := range want {
		ask([]*process{first, second}[i%2], i)
	}
	eventually(t, 10*time.Second, "they run", func() bool {
		st, err := first.status()
		return err == nil && st.Group.Running == len(want)
	})
	first.cmd.Process.Signal(syscall.SIGTERM)
	eventually(t, 5*time.Second, "the first drains", func() bool { return first.logged("draining") })
	for i := range want {
		ask(second, i)
	}
	all.Wait()
	if st, err := second.status(); err != nil || st.Coordinator != "second" {
		t.Errorf("%s leads, %v", st.Coordinator, err)
	}
	first.stop(syscall.SIGTERM)
}
