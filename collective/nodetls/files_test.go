package nodetls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sullae/sullae/collective/reload"
)

// newCA makes a CA for a test.
func newCA(t testing.TB) *Authority {
	t.Helper()
	a, err := NewAuthority("test", 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// issue makes a pair that change has altered.
func issue(t testing.TB, a *Authority, change func(*x509.Certificate)) Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := template(DefaultName, time.Hour)
	c.DNSNames = []string{DefaultName}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if change != nil {
		change(c)
	}
	cert, err := a.sign(c, a.cert, key)
	if err != nil {
		t.Fatal(err)
	}
	p, err := encode(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
}

// caPEM is a bundle of CAs.
func caPEM(t testing.TB, as ...*Authority) (out []byte) {
	for _, a := range as {
		p, err := a.Pair()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p.Cert...)
	}
	return out
}

// write puts files in a folder, each whole at once as a deployment would.
func write(t testing.TB, dir string, ca []byte, p Pair) Files {
	t.Helper()
	f := Files{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "node.pem"), Key: filepath.Join(dir, "node-key.pem")}
	for name, data := range map[string][]byte{f.CA: ca, f.Cert: p.Cert, f.Key: p.Key} {
		if err := os.WriteFile(name+".new", data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// logged keeps what a source logs.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// await gives the other end of a connection time to say its part.
func (l *logged) await(part string) string {
	for range 300 {
		if strings.Contains(l.String(), part) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return l.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// node is a source over files of its own.
type node struct {
	*Source
	dir string
	log *logged
}

func newNode(t testing.TB, ca []byte, p Pair) *node {
	t.Helper()
	n := &node{dir: t.TempDir(), log: &logged{}}
	var err error
	if n.Source, err = Load(write(t, n.dir, ca, p), n.log.logger()); err != nil {
		t.Fatal(err)
	}
	return n
}

// unchecked is a node that Load would refuse: peers have to.
func unchecked(t testing.TB, ca []byte, p Pair) *node {
	t.Helper()
	n := &node{dir: t.TempDir(), log: &logged{}}
	f := write(t, n.dir, ca, p)
	f.Name = DefaultName
	pair, err := f.readPair()
	if err != nil {
		t.Fatal(err)
	}
	cas, err := readCAs(f.CA)
	if err != nil {
		t.Fatal(err)
	}
	m := &material{leaf: pair.Leaf, notAfter: pair.Leaf.NotAfter}
	m.server, m.client = f.configure(pair, cas)
	value, err := reload.New(reload.Config[*material]{Load: func() (*material, error) { return m, nil }})
	if err != nil {
		t.Fatal(err)
	}
	n.Source = &Source{files: f, log: n.log.logger(), value: value}
	return n
}
