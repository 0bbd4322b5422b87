package e2e

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"reflect"
	"testing"
	"time"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator/embedetcd"
)

// TestEtcdAway: etcd stops while requests run, and a worker is killed while it is
// away. Nothing fails, the group forms anew without it, and when etcd is back
// the record is true again.
func TestEtcdAway(t *testing.T) {
	long(t)
	cfg := embedetcd.Config{Dir: t.TempDir(), ClientAddr: "127.0.0.1:" + freePort(t), PeerAddr: "127.0.0.1:" + freePort(t)}
	etcd, err := embedetcd.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { etcd.Close() })
	p := launch(t, "coordinator", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0",
		"--gossip", "127.0.0.1:0", "--etcd", cfg.ClientAddr, "--workers", "3", "--regroup", "500ms")
	var workers []*exec.Cmd
	for i := range 3 {
		workers = append(workers, worker(t, "--id", fmt.Sprint("w", i), "--etcd", cfg.ClientAddr))
	}
	p.awaitReady()
	want, err := p.stream(7)
	if err != nil {
		t.Fatal(err)
	}
	same := func(when string) {
		t.Helper()
		if c, err := p.stream(7); err != nil {
			t.Errorf("%s: %v", when, err)
		} else if !reflect.DeepEqual(c.Choices, want.Choices) {
			t.Errorf("%s: other bits", when)
		}
	}
	etcd.Close()
	same("with etcd away")

	before, err := p.status()
	if err != nil {
		t.Fatal(err)
	}
	during := make(chan struct{})
	go func() {
		defer close(during)
		same("while a worker is killed with etcd away")
	}()
	eventually(t, 10*time.Second, "the stream runs", func() bool {
		s, err := p.status()
		return err == nil && s.Group.Running == 1
	})
	workers[1].Process.Kill()
	<-during
	s, err := p.status()
	if err != nil {
		t.Fatal(err)
	}
	if s.Group.Epoch <= before.Group.Epoch || s.Group.WorldSize != 2 {
		t.Errorf("epoch %d of %d ranks after the kill, %d before", s.Group.Epoch, s.Group.WorldSize, before.Group.Epoch)
	}

	// The port may be taken for a moment by a connection that is ending.
	eventually(t, 10*time.Second, "etcd starts again", func() bool {
		if l, err := net.Listen("tcp", cfg.ClientAddr); err != nil {
			return false
		} else {
			l.Close()
		}
		etcd, err = embedetcd.Start(t.Context(), cfg)
		return err == nil
	})
	back := time.Now()
	eventually(t, 10*time.Second, "the record has the epoch that runs", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		reg, err := registry.Open(ctx, registry.Config{Endpoints: []string{cfg.ClientAddr}})
		if err != nil {
			return false
		}
		defer reg.Close()
		gen, err := reg.ReadGeneration(ctx, "0")
		s, serr := p.status()
		return err == nil && serr == nil && gen.Epoch == s.Group.Epoch && len(gen.Ranks) == s.Group.WorldSize
	})
	t.Logf("the record is true %.1f s after etcd is back", time.Since(back).Seconds())
	same("with etcd back")
}
