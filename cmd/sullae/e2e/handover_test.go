package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestHandover: a coordinator that stands by takes requests for the leader. The
// leader is asked to end in the middle of plain HTTP requests to both: none
// fails, and the next leader's answers have the same bits. No number of workers
// is given: the group is made of those that there are.
func TestHandover(t *testing.T) {
	long(t)
	addr, audit := startEtcd(t), t.TempDir()
	coordinator := func(id string) *process {
		http := net.JoinHostPort("127.0.0.1", freePort(t))
		p := launch(t, "coordinator", "--id", id, "--http", http, "--grpc", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0",
			"--gossip", "127.0.0.1:0", "--etcd", addr, "--workers", "0", "--audit-log", filepath.Join(audit, id))
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

	var (
		want [4]completion
		err  error
	)
	for i := range want {
		if want[i], err = first.stream(i); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := second.status(); err != nil || st.Coordinator != "first" || st.Group.WorldSize != 2 || st.Group.WorkersWanted != 2 {
		t.Errorf("the second's status is %+v, %v", st.Group, err)
	}
	recordsCaller(t, second.http, filepath.Join(audit, "first"))
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

// recordsCaller asks a coordinator that stands by, and finds one's own address in
// the leader's audit log.
func recordsCaller(t *testing.T, standby, audit string) {
	t.Helper()
	var self string
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { self = i.Conn.LocalAddr().String() }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "POST", standby+"/v1/completions", strings.NewReader(`{"prompt": [5], "max_tokens": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	eventually(t, 5*time.Second, "the caller's own address is recorded", func() bool {
		raw, err := os.ReadFile(audit)
		return err == nil && self != "" && strings.Contains(string(raw), fmt.Sprintf("%q:%q", "remote", self))
	})
}
