package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator"
	"github.com/sullae/sullae/worker/node"
)

// TestInProcess runs a coordinator and workers as goroutines of this process, so
// that the race detector sees them and leaked goroutines show: requests, a worker
// that leaves in order, one that joins, and the end.
func TestInProcess(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(),
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 8)
	running := 0
	run := func(f func() error) {
		running++
		go func() { ended <- f() }()
	}

	etcd, ready := make(chan []string, 1), make(chan coordinator.Ready, 1)
	run(func() error {
		return coordinator.Run(ctx, coordinator.Config{
			ID: "c", HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0", ClusterAddr: "127.0.0.1:0", GossipAddr: "127.0.0.1:0",
			EtcdListen: "127.0.0.1:0", Workers: 2, Regroup: 100 * time.Millisecond, Logger: log, Version: "test",
			OnEtcd: func(e []string) { etcd <- e }, OnReady: func(r coordinator.Ready) { ready <- r },
		})
	})
	endpoints := <-etcd
	worker := func(id string) context.CancelFunc {
		wctx, leave := context.WithCancel(ctx)
		run(func() error {
			return node.Run(wctx, node.Config{
				ID: id, Version: "test", Listen: "127.0.0.1:0", GossipAddr: "127.0.0.1:0", Threads: 1, Logger: log,
				Etcd: registry.Config{Endpoints: endpoints, Cluster: registry.DefaultCluster},
			})
		})
		return leave
	}
	leave := worker("a")
	worker("b")
	var p *process
	select {
	case r := <-ready:
		p = &process{t: t, http: "http://" + r.HTTP, grpc: r.GRPC, model: r.Model}
	case err := <-ended:
		t.Fatal(err)
	case <-time.After(time.Minute):
		t.Fatal("not ready")
	}
	want, err := p.stream(1)
	if err != nil {
		t.Fatal(err)
	}
	during := make(chan error, 1)
	go func() {
		c, err := p.stream(1)
		if err == nil && !reflect.DeepEqual(c.Choices, want.Choices) {
			err = fmt.Errorf("other bits")
		}
		during <- err
	}()
	eventually(t, 10*time.Second, "the stream runs", func() bool {
		s, err := p.status()
		return err == nil && s.Group.Running == 1
	})
	leave()
	if err := <-during; err != nil {
		t.Errorf("a stream while a worker leaves: %v", err)
	}
	worker("c")
	eventually(t, 20*time.Second, "two ranks again", func() bool {
		s, err := p.status()
		return err == nil && s.Group.WorldSize == 2 && s.Group.Phase == "serving"
	})
	if c, err := p.stream(1); err != nil || !reflect.DeepEqual(c.Choices, want.Choices) {
		t.Errorf("with a new worker: %v, or other bits", err)
	}
	cancel()
	for range running {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("something does not end")
		}
	}
}
