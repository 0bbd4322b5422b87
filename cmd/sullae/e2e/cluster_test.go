package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"reflect"
	"syscall"
	"testing"
	"time"
)

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// worker starts `sullae worker` and ends it with the test.
func worker(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(sullae, append([]string{"worker", "--listen", "127.0.0.1:0", "--gossip", "127.0.0.1:0", "--threads", "1", "--drain-timeout", "1s"}, args...)...)
	log := &logBuffer{}
	cmd.Stderr, cmd.Stdout = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(15 * time.Second):
			cmd.Process.Kill()
			t.Errorf("a worker does not end:\n%s", log)
		}
		if t.Failed() {
			t.Logf("worker %v:\n%s", args, log)
		}
	})
	return cmd
}

// TestSeparateProcesses: a coordinator and workers that were started one by one
// and know nothing but etcd, with encrypted gossip. The workers have no copy of
// the model: their weights come from the coordinator. The bits are those of up.
func TestSeparateProcesses(t *testing.T) {
	long(t)
	etcd := "127.0.0.1:" + freePort(t)
	common := []string{"--cluster", "blue", "--gossip-key", "MDEyMzQ1Njc4OWFiY2RlZg=="}
	p := launch(t, append([]string{"coordinator", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0",
		"--gossip", "127.0.0.1:0", "--etcd-listen", etcd, "--workers", "2"}, common...)...)
	awaitListener(t, etcd)
	for i, capacity := range []string{"1", "2"} {
		worker(t, append([]string{"--id", fmt.Sprint("w", i), "--etcd", etcd, "--capacity", capacity}, common...)...)
	}
	p.awaitReady()
	got, err := p.stream(3)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.status()
	if err != nil {
		t.Fatal(err)
	}
	if a, b := s.Workers[0].FFN, s.Workers[1].FFN; s.Cluster != "blue" || b[1]-b[0] < a[1]-a[0] {
		t.Errorf("cluster %s, FFN shares %v and %v: want blue, and the second worker, twice as fast, with the larger", s.Cluster, a, b)
	}
	want, err := up(t).stream(3)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Choices, want.Choices) {
		t.Error("other bits than one worker under up")
	}
}

// awaitListener waits until something accepts connections at addr.
func awaitListener(t *testing.T, addr string) {
	t.Helper()
	eventually(t, 15*time.Second, addr+" accepts connections", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}
