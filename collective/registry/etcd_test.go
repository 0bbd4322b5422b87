package registry_test

import (
	"context"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/sullae/sullae/collective/registry"
)

// realEtcd is an etcd that can be stopped and started again.
type realEtcd struct {
	t       *testing.T
	dir     string
	adjust  func(*embed.Config) // or nil
	address string              // of the clients, once known
	etcd    *embed.Etcd
	mu      sync.Mutex
	grpc    []*grpc.Server // etcd's own
	admin   *clientv3.Client
	wipes   int
}

func newRealEtcd(t *testing.T, adjust func(*embed.Config)) *realEtcd {
	e := &realEtcd{t: t, dir: t.TempDir(), adjust: adjust, address: "127.0.0.1:0"}
	e.start(e.address)
	e.address = e.etcd.Clients[0].Addr().String()
	t.Cleanup(e.stop)
	return e
}

// start runs the etcd on its data at an address for clients.
func (e *realEtcd) start(address string) {
	e.t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(e.dir, strconv.Itoa(e.wipes))
	cfg.UnsafeNoFsync = true
	cfg.EnableGRPCGateway = false
	cfg.ListenClientUrls = []url.URL{{Scheme: "http", Host: address}}
	cfg.ListenPeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.AdvertiseClientUrls, cfg.AdvertisePeerUrls = cfg.ListenClientUrls, cfg.ListenPeerUrls
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.BcryptCost = 4
	cfg.ServiceRegister = func(g *grpc.Server) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.grpc = append(e.grpc, g)
	}
	if e.adjust != nil {
		e.adjust(cfg)
	}
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	e.etcd = etcd
	select {
	case <-etcd.Server.ReadyNotify():
	case <-time.After(20 * time.Second):
		e.t.Fatal("etcd is not ready")
	}
	if cfg.ListenClientUrls[0].Scheme == "http" {
		e.admin, err = clientv3.New(clientv3.Config{Endpoints: []string{etcd.Clients[0].Addr().String()}, Logger: zap.NewNop()})
		if err != nil {
			e.t.Fatal(err)
		}
	}
}

func (e *realEtcd) stop() {
	if e.etcd == nil {
		return
	}
	if e.admin != nil {
		e.admin.Close()
	}
	e.mu.Lock()
	for _, g := range e.grpc {
		g.Stop() // Close would wait for open watches
	}
	e.grpc = nil
	e.mu.Unlock()
	e.etcd.Close()
	e.etcd, e.admin = nil, nil
}

func (e *realEtcd) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	e.t.Cleanup(cancel)
	return ctx
}

func (e *realEtcd) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *realEtcd) open(cfg registry.Config) *registry.Registry {
	e.t.Helper()
	cfg.Endpoints = []string{e.address}
	r, err := registry.Open(e.ctx(), cfg)
	e.must(err)
	e.t.Cleanup(func() { r.Close() })
	return r
}

func (e *realEtcd) setAway(away bool) {
	if away {
		e.stop()
	} else {
		e.start(e.address)
	}
}

// whileAway runs f on the stopped store's data, reached elsewhere.
func (e *realEtcd) whileAway(f func()) {
	e.start("127.0.0.1:0")
	f()
	e.stop()
}

func (e *realEtcd) wipe() {
	e.stop()
	e.wipes++
	e.start(e.address)
}

func (e *realEtcd) dropLeases() {
	leases, err := e.admin.Leases(e.ctx())
	e.must(err)
	for _, l := range leases.Leases {
		_, err := e.admin.Revoke(e.ctx(), l.ID)
		e.must(err)
	}
}

func (e *realEtcd) put(key, value string) {
	_, err := e.admin.Put(e.ctx(), key, value)
	e.must(err)
}

func (e *realEtcd) delete(key string) {
	_, err := e.admin.Delete(e.ctx(), key)
	e.must(err)
}

func (e *realEtcd) keys(prefix string) []string {
	resp, err := e.admin.Get(e.ctx(), prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	e.must(err)
	var out []string
	for _, kv := range resp.Kvs {
		out = append(out, string(kv.Key))
	}
	return out
}

func (e *realEtcd) compact() {
	resp, err := e.admin.Get(e.ctx(), "x")
	e.must(err)
	_, err = e.admin.Compact(e.ctx(), resp.Header.Revision)
	e.must(err)
}

// Short, but long enough for a machine that is busy with other tests.
func (e *realEtcd) ttl() time.Duration      { return 4 * time.Second }
func (e *realEtcd) outage() time.Duration   { return 5 * time.Second }
func (e *realEtcd) patience() time.Duration { return 15 * time.Second }
