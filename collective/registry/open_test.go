package registry_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/sullae/sullae/collective/registry"
)

// refusedPort is an address at which nothing listens.
func refusedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func wantError(t *testing.T, cfg registry.Config, is error, want ...string) {
	t.Helper()
	began := time.Now()
	r, err := registry.Open(context.Background(), cfg)
	if err == nil {
		r.Close()
		t.Errorf("opened; want an error with %q", want)
		return
	}
	if took := time.Since(began); cfg.DialTimeout > 0 && took > cfg.DialTimeout+3*time.Second {
		t.Errorf("took %v: %v", took, err)
	}
	if is != nil && !errors.Is(err, is) {
		t.Errorf("not %v: %v", is, err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q lacks %q", err, w)
		}
	}
	if cfg.Password != "" && strings.Contains(err.Error(), cfg.Password) {
		t.Errorf("the password is in %q", err)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	a, c := refusedPort(t), refusedPort(t)
	const short = 700 * time.Millisecond
	wantError(t, registry.Config{Endpoints: []string{a, "http://" + c}, DialTimeout: short},
		registry.ErrUnreachable, "--etcd", a, c, "connection refused", "check that etcd runs")
	wantError(t, registry.Config{Endpoints: []string{"nosuchhost.invalid:2379"}, DialTimeout: short},
		registry.ErrUnreachable, "--etcd", "nosuchhost.invalid:2379")
	wantError(t, registry.Config{Endpoints: []string{silent.Addr().String()}, DialTimeout: short},
		registry.ErrUnreachable, "--etcd", silent.Addr().String(), "does not answer as etcd")
	wantError(t, registry.Config{Endpoints: []string{a}, Username: "u", Password: "topsecret", DialTimeout: short},
		registry.ErrUnreachable, "connection refused")

	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("interrupted")
	time.AfterFunc(100*time.Millisecond, func() { cancel(stop) })
	began := time.Now()
	if _, err := registry.Open(ctx, registry.Config{Endpoints: []string{a}}); !errors.Is(err, stop) {
		t.Error(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("an interrupt took %v", took)
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	tls := registry.TLSFiles{CA: "/nowhere/ca.pem"}
	e := []string{"h:1"}
	for _, c := range []struct {
		cfg  registry.Config
		want []string
	}{
		{registry.Config{}, []string{"--etcd"}},
		{registry.Config{Endpoints: []string{"localhost"}}, []string{"--etcd", "localhost", "no port"}},
		{registry.Config{Endpoints: []string{"ftp://h:1"}}, []string{"--etcd", "ftp"}},
		{registry.Config{Endpoints: []string{"http://u:p@h:1"}}, []string{"--etcd-user"}},
		{registry.Config{Endpoints: []string{"http://h:1/x"}}, []string{"--etcd", "host:port"}},
		{registry.Config{Endpoints: []string{"http://h:1", "https://h:2"}}, []string{"--etcd", "mixes"}},
		{registry.Config{Endpoints: []string{"http://h:1"}, TLS: tls}, []string{"--etcd-ca", "https"}},
		{registry.Config{Endpoints: e, TLS: tls}, []string{"--etcd-ca", "/nowhere/ca.pem"}},
		{registry.Config{Endpoints: e, TLS: registry.TLSFiles{Cert: "c"}}, []string{"--etcd-cert", "--etcd-key"}},
		{registry.Config{Endpoints: e, TLS: registry.TLSFiles{Cert: "c", Key: "k"}}, []string{"--etcd-cert", "--etcd-key"}},
		{registry.Config{Endpoints: e, Username: "u"}, []string{"--etcd-user", "--etcd-password"}},
		{registry.Config{Endpoints: e, Password: "hidden"}, []string{"--etcd-user", "--etcd-password"}},
		{registry.Config{Endpoints: e, Cluster: "a/b"}, []string{"cluster", "a/b"}},
		{registry.Config{Endpoints: e, Prefix: "a//b"}, []string{"prefix"}},
	} {
		wantError(t, c.cfg, nil, c.want...)
	}
}

func TestClustersAreApart(t *testing.T) {
	t.Parallel()
	etcd := newRealEtcd(t, nil)
	a := etcd.open(registry.Config{})
	b := etcd.open(registry.Config{Cluster: "other"})
	c := etcd.open(registry.Config{Prefix: "/some/where/"})
	g, err := a.RegisterWorker(etcd.ctx(), worker("w1"))
	etcd.must(err)
	for _, r := range []*registry.Registry{b, c} {
		ws, err := r.Workers(etcd.ctx())
		etcd.must(err)
		if len(ws) != 0 {
			t.Errorf("sees %q", ids(ws))
		}
	}
	etcd.must(g.Close(etcd.ctx()))
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	etcd := newRealEtcd(t, func(c *embed.Config) { c.AuthTokenTTL = 1 })
	ctx := etcd.ctx()
	do := func(_ any, err error) { t.Helper(); etcd.must(err) }
	do(etcd.admin.UserAdd(ctx, "root", "rootpass"))
	do(etcd.admin.UserGrantRole(ctx, "root", "root"))
	do(etcd.admin.UserAdd(ctx, "stranger", "strangerpass"))
	do(etcd.admin.UserAdd(ctx, "sullae", "sullaepass"))
	do(etcd.admin.RoleAdd(ctx, "sullae"))
	do(etcd.admin.RoleGrantPermission(ctx, "sullae", "/sullae/", "/sullae0", 2 /* readwrite */))
	do(etcd.admin.UserGrantRole(ctx, "sullae", "sullae"))
	do(etcd.admin.AuthEnable(ctx))

	e := []string{etcd.address}
	wantError(t, registry.Config{Endpoints: e}, nil, "--etcd-user", "wants a user", etcd.address)
	wantError(t, registry.Config{Endpoints: e, Username: "sullae", Password: "wrong-one"}, nil, "--etcd-password", "refuses user", "sullae")
	wantError(t, registry.Config{Endpoints: e, Username: "stranger", Password: "strangerpass"}, nil, "stranger", "may not read", "/sullae/default/")

	var log syncBuffer
	r := etcd.open(registry.Config{Username: "sullae", Password: "sullaepass", TTL: etcd.ttl(),
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	watch := follow(r.WatchWorkers(ctx))
	g, err := r.RegisterWorker(ctx, worker("w1"))
	etcd.must(err)
	// The tokens of the log-in lapse after a second, and with the server.
	time.Sleep(1500 * time.Millisecond)
	etcd.setAway(true)
	etcd.setAway(false)
	w := g.Record()
	w.State = "again"
	etcd.must(g.Update(w))
	for end := time.Now().Add(etcd.patience()); ; time.Sleep(10 * time.Millisecond) {
		if ws, _, _ := watch.get(); len(ws) == 1 && ws[0].State == "again" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the watch did not log in again\n%s", &log)
		}
	}
	etcd.must(g.Close(ctx))
}
