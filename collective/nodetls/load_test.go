package nodetls

import (
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sullae/sullae/collective/reload"
)

// TestLoad: what is wrong with the files is said by flag and file.
func TestLoad(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	good := issue(t, ca, nil)
	bundle := caPEM(t, ca)
	for _, c := range []struct {
		name string
		ca   []byte
		pair Pair
		edit func(*Files)
		want []string // parts of the error; none: it loads
	}{
		{name: "good", ca: bundle, pair: good},
		{name: "several CAs", ca: caPEM(t, other, ca), pair: good},
		{name: "no CA flag", ca: bundle, pair: good, edit: func(f *Files) { f.CA = "" }, want: []string{"missing: --node-ca", "sullae certs DIR"}},
		{name: "CA flag alone", ca: bundle, pair: good, edit: func(f *Files) { f.Cert, f.Key = "", "" }, want: []string{"missing: --node-cert, --node-key"}},
		{name: "no CA file", ca: bundle, pair: good, edit: func(f *Files) { f.CA += "x" }, want: []string{"--node-ca: open", "ca.pemx", "sullae certs DIR"}},
		{name: "no key file", ca: bundle, pair: good, edit: func(f *Files) { f.Key += "x" }, want: []string{"--node-key: open", "node-key.pemx"}},
		{name: "empty CA file", ca: nil, pair: good, want: []string{"--node-ca", "ca.pem holds no certificate"}},
		{name: "no CA", ca: good.Cert, pair: good, want: []string{"--node-ca", "is not a CA's"}},
		{name: "swapped", ca: bundle, pair: Pair{good.Key, good.Cert}, want: []string{"--node-cert", "node.pem holds no certificate in PEM, but a private key"}},
		{name: "another key", ca: bundle, pair: Pair{good.Cert, issue(t, ca, nil).Key}, want: []string{"--node-key", "is not the key of --node-cert"}},
		{name: "cut off", ca: bundle, pair: Pair{good.Cert[:200], good.Key}, want: []string{"--node-cert", "holds no certificate"}},
		{name: "other CA", ca: caPEM(t, other), pair: good, want: []string{"--node-cert", "issued by", "which is not in --node-ca"}},
		{name: "expired", ca: bundle, pair: issue(t, ca, expired), want: []string{"--node-cert", "expired on", "sullae certs DIR"}},
		{name: "not yet valid", ca: bundle, pair: issue(t, ca, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), want: []string{"not valid before", "clock says"}},
		{name: "other name", ca: bundle, pair: issue(t, ca, func(c *x509.Certificate) { c.DNSNames = []string{"etcd"} }), want: []string{`does not carry the name "sullae-node"`, "--node-name", "its names: etcd"}},
		{name: "name by flag", ca: bundle, pair: issue(t, ca, func(c *x509.Certificate) { c.DNSNames = []string{"blue.nodes"} }), edit: func(f *Files) { f.Name = "blue.nodes" }},
		{name: "for servers only", ca: bundle, pair: issue(t, ca, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }), want: []string{"not for use as a client", "serverAuth and clientAuth"}},
		{name: "for clients only", ca: bundle, pair: issue(t, ca, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }), want: []string{"not for use as a server"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := write(t, t.TempDir(), c.ca, c.pair)
			if c.edit != nil {
				c.edit(&f)
			}
			s, err := Load(f, nil)
			if len(c.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				if left := time.Until(s.NotAfter()); left > time.Hour || left < 50*time.Minute {
					t.Errorf("valid for %v", left)
				}
				return
			}
			if err == nil {
				t.Fatal("loaded")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v\nlacks %q", err, w)
				}
			}
		})
	}
}

// TestIntermediate: a certificate may come with those between it and the CA; the
// one of them that ends first ends all.
func TestIntermediate(t *testing.T) {
	root := newCA(t)
	between := newCA(t)
	c := template("between", 30*time.Minute)
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	root.cert.MaxPathLen, root.cert.MaxPathLenZero = -1, false
	var err error
	if root.cert, err = root.sign(root.cert, root.cert, root.key); err != nil {
		t.Fatal(err)
	}
	if between.cert, err = root.sign(c, root.cert, between.key); err != nil {
		t.Fatal(err)
	}
	p := issue(t, between, nil)
	p.Cert = append(p.Cert, caPEM(t, between)...)
	s, err := Load(write(t, t.TempDir(), caPEM(t, root), p), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !s.NotAfter().Equal(between.cert.NotAfter) {
		t.Errorf("valid until %v, want %v", s.NotAfter(), between.cert.NotAfter)
	}
}

// TestAuthority: what is issued loads, no longer than its CA lives.
func TestAuthority(t *testing.T) {
	ca := newCA(t)
	p, err := ca.Pair()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseAuthority(p)
	if err != nil {
		t.Fatal(err)
	}
	node, err := again.Issue(DefaultName, 1000*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Load(write(t, t.TempDir(), p.Cert, node), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !s.NotAfter().Equal(ca.NotAfter()) {
		t.Errorf("ends %v, the CA %v", s.NotAfter(), ca.NotAfter())
	}
	if _, err := ca.Issue("not a name", time.Hour); err == nil {
		t.Error("a name that is none")
	}
	if _, err := ParseAuthority(Pair{p.Cert, node.Key}); err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Errorf("another key: %v", err)
	}
}

// TestReload: new files are taken up, broken ones are not, and are said once.
func TestReload(t *testing.T) { synctest.Test(t, testReload) }

func testReload(t *testing.T) {
	ca := newCA(t)
	n := newNode(t, caPEM(t, ca), issue(t, ca, nil))
	first := n.current().leaf
	if n.current().leaf != first {
		t.Error("read again without a change")
	}
	second := issue(t, ca, nil)
	write(t, n.dir, caPEM(t, ca), Pair{second.Cert, issue(t, ca, nil).Key})
	if n.current().leaf != first || n.log.String() != "" {
		t.Errorf("half a rotation: %s", n.log)
	}
	time.Sleep(reload.Grace)
	for range 3 {
		if n.current().leaf != first {
			t.Error("a pair that does not fit is in use")
		}
	}
	if log := n.log.String(); strings.Count(log, "cannot be used") != 1 || !strings.Contains(log, "node-key.pem") {
		t.Errorf("log: %s", log)
	}
	if err := os.Remove(n.files.CA); err != nil {
		t.Fatal(err)
	}
	if n.current().leaf != first {
		t.Error("without a CA")
	}
	write(t, n.dir, caPEM(t, ca), second)
	if n.current().leaf.Equal(first) || !strings.Contains(n.log.String(), "read again") {
		t.Errorf("not read again: %s", n.log)
	}
}

// TestExpiryWarning: once, in the last tenth.
func TestExpiryWarning(t *testing.T) {
	ca := newCA(t)
	n := newNode(t, caPEM(t, ca), issue(t, ca, nil)) // two hours in all
	for _, before := range []time.Duration{30 * time.Minute, 10 * time.Minute, 5 * time.Minute} {
		n.warnOfExpiry(n.NotAfter().Add(-before))
	}
	if log := n.log.String(); strings.Count(log, "expires soon") != 1 {
		t.Errorf("log: %s", log)
	}
}
