package embedetcd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dial(t *testing.T, s *Server) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: s.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestServesAndLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var log strings.Builder
	s, err := Start(t.Context(), Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := dial(t, s)
	if _, err := c.Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	// An open watch must not hold Close up.
	w := c.Watch(t.Context(), "k", clientv3.WithCreatedNotify())
	<-w
	began := time.Now()
	s.Close()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("Close took %v", took)
	}
	select {
	case <-s.Done():
	default:
		t.Error("Done is open after Close")
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if log.Len() != 0 {
		t.Errorf("logged at info or above:\n%s", log.String())
	}
	s.Close()
}

func TestKeepsDataInDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	var addr string
	for round := range 2 {
		s, err := Start(t.Context(), Config{Dir: dir, ClientAddr: addr})
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, s)
		got, err := c.Get(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Kvs) != round {
			t.Errorf("round %d: %d keys", round, len(got.Kvs))
		}
		if _, err := c.Put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		addr = s.Endpoints()[0] // the second round takes the first one's port
		c.Close()
		s.Close()
	}
}

func TestErrorsNameTheFlag(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  Config
		want []string
	}{
		{Config{ClientAddr: taken.Addr().String()}, []string{"--etcd-listen", taken.Addr().String(), "in use"}},
		{Config{PeerAddr: taken.Addr().String()}, []string{"--etcd-peer-listen", taken.Addr().String(), "in use"}},
		{Config{ClientAddr: "2379"}, []string{"--etcd-listen", "2379", "host:port"}},
		{Config{ClientAddr: "127.0.0.1:seven"}, []string{"--etcd-listen", "port"}},
		{Config{PeerAddr: "example.invalid:1"}, []string{"--etcd-peer-listen", "not an IP"}},
		{Config{ClientAddr: "192.0.2.1:0"}, []string{"--etcd-listen", "192.0.2.1", "listen"}},
		{Config{Dir: filepath.Join(file, "x")}, []string{"--etcd-dir", file}},
	} {
		tmp := t.TempDir()
		t.Setenv("TMPDIR", tmp)
		s, err := Start(t.Context(), c.cfg)
		if err == nil {
			s.Close()
			t.Errorf("%+v: started", c.cfg)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: %q lacks %q", c.cfg, err, w)
			}
		}
		if left, _ := os.ReadDir(tmp); len(left) != 0 {
			t.Errorf("%+v: left behind: %v", c.cfg, left)
		}
	}
}

func TestDamagedData(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	db := filepath.Join(dir, "member", "snap", "db")
	if err := os.WriteFile(db, []byte(strings.Repeat("not a database ", 4096)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = Start(t.Context(), Config{Dir: dir})
	if err == nil {
		s.Close()
		t.Fatal("started on damaged data")
	}
	if !strings.Contains(err.Error(), dir) {
		t.Errorf("%q does not name the folder", err)
	}
}

func TestDirInUse(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	second, err := Start(t.Context(), Config{Dir: dir})
	if err == nil {
		second.Close()
		t.Fatal("two servers in one folder")
	}
	if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "another process") {
		t.Error(err)
	}
}

func TestStartIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fmt.Errorf("enough"))
	s, err := Start(ctx, Config{})
	// A server may be ready at once; then Start may well succeed.
	if err == nil {
		s.Close()
		return
	}
	if !strings.Contains(err.Error(), "enough") {
		t.Error(err)
	}
}
