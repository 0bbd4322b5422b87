package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/sullae/sullae/collective/registry"
)

// authority signs certificates into files.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.file, _ = a.sign(name, template)
	return a
}

// sign writes a certificate and its key; the first one signs itself.
func (a *authority) sign(name string, template *x509.Certificate) (certFile, keyFile string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.cert == nil {
		a.key = key
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	write := func(suffix, kind string, der []byte) string {
		file := filepath.Join(a.dir, name+suffix)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			a.t.Fatal(err)
		}
		return file
	}
	return write(".crt", "CERTIFICATE", der), write(".key", "PRIVATE KEY", pkcs8)
}

func leaf(usage x509.ExtKeyUsage) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: "sullae-test"},
		DNSNames:    []string{"etcd.example"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, foreign := newAuthority(t, "ca"), newAuthority(t, "foreign")
	server := leaf(x509.ExtKeyUsageServerAuth)
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	serverCert, serverKey := ca.sign("server", server)
	cert, key := ca.sign("client", leaf(x509.ExtKeyUsageClientAuth))
	badCert, badKey := foreign.sign("client", leaf(x509.ExtKeyUsageClientAuth))
	etcd := newRealEtcd(t, func(c *embed.Config) {
		c.ListenClientUrls[0].Scheme = "https"
		c.ClientTLSInfo.CertFile, c.ClientTLSInfo.KeyFile = serverCert, serverKey
		c.ClientTLSInfo.TrustedCAFile, c.ClientTLSInfo.ClientCertAuth = ca.file, true
	})
	good := registry.TLSFiles{CA: ca.file, Cert: cert, Key: key}

	r := etcd.open(registry.Config{TLS: good})
	g, err := r.RegisterWorker(etcd.ctx(), worker("w1"))
	etcd.must(err)
	etcd.must(g.Close(etcd.ctx()))
	named := good
	named.ServerName = "etcd.example"
	etcd.open(registry.Config{TLS: named})

	e := []string{etcd.address}
	fail := func(name string, cfg registry.Config, is error, want ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.DialTimeout = 1500 * time.Millisecond
			wantError(t, cfg, is, want...)
		})
	}
	with := func(change func(*registry.TLSFiles)) registry.Config {
		files := good
		change(&files)
		return registry.Config{Endpoints: e, TLS: files}
	}
	fail("none", registry.Config{Endpoints: e}, registry.ErrUnreachable, etcd.address, "speaks TLS", "https://", "--etcd-ca")
	fail("foreign ca", with(func(f *registry.TLSFiles) { f.CA = foreign.file }), registry.ErrUnreachable, "TLS", "--etcd-ca")
	fail("other name", with(func(f *registry.TLSFiles) { f.ServerName = "other.example" }), registry.ErrUnreachable, "other.example", "--etcd-server-name")
	fail("no cert", with(func(f *registry.TLSFiles) { f.Cert, f.Key = "", "" }), registry.ErrUnreachable, "refuses our certificate", "--etcd-cert")
	fail("foreign cert", with(func(f *registry.TLSFiles) { f.Cert, f.Key = badCert, badKey }), registry.ErrUnreachable, "refuses our certificate", "--etcd-cert")
	fail("other's key", with(func(f *registry.TLSFiles) { f.Key = badKey }), nil, "--etcd-key", badKey)
	fail("a key for a ca", with(func(f *registry.TLSFiles) { f.CA = key }), nil, "--etcd-ca", "no PEM certificate")

	plain := newRealEtcd(t, nil)
	fail("plain", registry.Config{Endpoints: []string{"https://" + plain.address}, TLS: good},
		registry.ErrUnreachable, plain.address, "does not speak TLS", "http://")
}
