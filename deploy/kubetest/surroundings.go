//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sullae/sullae/ops/tracing/tracetest"
	policyv1 "github.com/sullae/sullae/proto/sullae/policy/v1"
)

// Ports on the node of what an installation finds there.
const (
	ownEtcd    = 2479
	otlpGRPC   = 4317
	otlpHTTP   = 4318
	policyPort = 9000
)

// Names that certificates of the surroundings carry.
const (
	etcdName   = "etcd.test"
	policyName = "policy.secured.svc" // a Service
)

// etcd's users.
const etcdUser, etcdPassword, etcdRoot = "sullae", "a password", "root's password"

// etcdAuthority has gRPC look for etcd's name in its certificate, not for the
// address that was dialled.
var etcdAuthority = []grpc.DialOption{grpc.WithAuthority(etcdName)}

// pair is a certificate with its key and authority, as files.
type pair struct{ ca, cert, key string }

// certs makes an authority and a pair by `sullae certs`.
func (c *cluster) certs(ctx context.Context, folder, name string) (pair, error) {
	dir := filepath.Join(c.work, "certs", folder)
	_, err := c.run(ctx, c.sullae(), "certs", dir, "--node-name", name)
	return pair{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "node.pem"), filepath.Join(dir, "node-key.pem")}, err
}

// config is for clients that show the pair and trust its authority.
func (p pair) config(name string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(p.ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, ServerName: name}, nil
}

// etcdOfOnesOwn starts an etcd that asks for client certificates and passwords,
// with a user who may use one prefix, and returns its certificates.
func (c *cluster) etcdOfOnesOwn(ctx context.Context) (pair, error) {
	p, err := c.certs(ctx, "etcd", etcdName)
	if err != nil {
		return p, err
	}
	url := fmt.Sprintf("https://%s:%d", nodeIP, ownEtcd)
	err = c.startAs(ctx, "etcd-own", nil, "etcd", "--data-dir", filepath.Join(c.work, "etcd-own"), "--unsafe-no-fsync",
		"--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:2480",
		"--initial-advertise-peer-urls", "http://127.0.0.1:2480", "--initial-cluster", "default=http://127.0.0.1:2480",
		"--cert-file", p.cert, "--key-file", p.key, "--trusted-ca-file", p.ca, "--client-cert-auth", "--bcrypt-cost=4")
	if err != nil {
		return p, err
	}
	config, err := p.config(etcdName)
	if err != nil {
		return p, err
	}
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, TLS: config, DialTimeout: 5 * time.Second, DialOptions: etcdAuthority, Logger: zap.NewNop()})
	if err != nil {
		return p, err
	}
	defer etcd.Close()
	err = await(ctx, time.Minute, "an etcd with client certificates", func() error {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		_, err := etcd.Status(ctx, url)
		return err
	})
	for _, step := range []func() error{
		func() error { _, err := etcd.UserAdd(ctx, "root", etcdRoot); return err },
		func() error { _, err := etcd.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := etcd.RoleAdd(ctx, "sullae"); return err },
		func() error {
			_, err := etcd.RoleGrantPermission(ctx, "sullae", "/sullae/", clientv3.GetPrefixRangeEnd("/sullae/"), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := etcd.UserAdd(ctx, etcdUser, etcdPassword); return err },
		func() error { _, err := etcd.UserGrantRole(ctx, etcdUser, "sullae"); return err },
		func() error { _, err := etcd.AuthEnable(ctx); return err },
	} {
		if err == nil {
			err = step()
		}
	}
	return p, err
}

// etcdKeys is how many keys under the prefix a client sees.
func etcdKeys(ctx context.Context, config *tls.Config, user, password string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	etcd, err := clientv3.New(clientv3.Config{Context: ctx, Endpoints: []string{fmt.Sprintf("https://%s:%d", nodeIP, ownEtcd)}, TLS: config,
		DialTimeout: 3 * time.Second, Username: user, Password: password, DialOptions: etcdAuthority, Logger: zap.NewNop()})
	if err != nil {
		return 0, err
	}
	defer etcd.Close()
	res, err := etcd.Get(ctx, "/sullae/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return res.Count, nil
}

// receivers starts an OTLP receiver for both protocols, and the policy service.
// They end with the namespaces.
func (c *cluster) receivers(ctx context.Context) (sink *tracetest.Sink, policy pair, err error) {
	sink = &tracetest.Sink{}
	if policy, err = c.certs(ctx, "policy", policyName); err != nil {
		return nil, policy, err
	}
	creds, err := credentials.NewServerTLSFromFile(policy.cert, policy.key)
	if err != nil {
		return nil, policy, err
	}
	traces, policies := grpc.NewServer(), grpc.NewServer(grpc.Creds(creds))
	sink.Register(traces)
	policyv1.RegisterPolicyServiceServer(policies, policyService{})
	web := &http.Server{Handler: sink, ReadHeaderTimeout: 10 * time.Second}
	for port, serve := range map[int]func(net.Listener) error{otlpGRPC: traces.Serve, otlpHTTP: web.Serve, policyPort: policies.Serve} {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", nodeIP, port))
		if err != nil {
			return nil, policy, err
		}
		go serve(l)
	}
	return sink, policy, nil
}
