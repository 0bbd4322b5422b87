package coordinator

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sullae/sullae/collective/nodetls"
	"github.com/sullae/sullae/collective/registry"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
)

// nodeCerts writes a node's files, signed by ca, and loads them.
func nodeCerts(t *testing.T, dir string, ca *nodetls.Authority) *nodetls.Source {
	t.Helper()
	root, err := ca.Pair()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(nodetls.DefaultName, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	f := nodetls.Files{CA: filepath.Join(dir, "ca"), Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")}
	for name, data := range map[string][]byte{f.CA: root.Cert, f.Cert: pair.Cert, f.Key: pair.Key} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := nodetls.Load(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestVetter: a worker of another CA is kept out until it is put right; one that
// is away is none of the vetter's business.
func TestVetter(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.Creds(nodeCerts(t, dir, theirs).Server()))
	clusterv1.RegisterWorkerServiceServer(srv, clusterv1.UnimplementedWorkerServiceServer{})
	go srv.Serve(l)
	defer srv.Stop()

	ctx, cancel := context.WithCancel(t.Context())
	var log bytes.Buffer
	v := newVetter(ctx, nodeCerts(t, t.TempDir(), ours), slog.New(slog.NewTextHandler(&log, nil)))
	await := func(w registry.Worker, want string) {
		t.Helper()
		for range 300 {
			if got := v.refused(w); strings.Contains(got, want) && (want != "" || got == "") {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("worker %s: %q, want %q", w.ID, v.refused(w), want)
	}
	w := registry.Worker{ID: "w", Address: l.Addr().String()}
	if got := v.refused(w); got == "" {
		t.Error("let in unseen")
	}
	await(w, "certificate not accepted: ")
	nodeCerts(t, dir, ours)
	await(w, "")
	await(registry.Worker{ID: "w", Address: "127.0.0.1:1"}, "")
	cancel()
	v.wait()
	if text := log.String(); strings.Count(text, "worker cannot join") != 1 {
		t.Errorf("log: %s", text)
	}
	if newVetter(ctx, nil, nil) != nil {
		t.Error("something to vet without certificates")
	}
	(*vetter)(nil).wait()
}

func newAuthority(t *testing.T) *nodetls.Authority {
	t.Helper()
	a, err := nodetls.NewAuthority("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
