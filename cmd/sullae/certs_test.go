package main

import (
	"bytes"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sullae/sullae/collective/nodetls"
)

func (c certsCmd) try(t *testing.T) (out string, err error) {
	t.Helper()
	if c.NodeName == "" {
		c.NodeName = nodetls.DefaultName
	}
	if c.Days == 0 {
		c.Days = 30
	}
	var buf bytes.Buffer
	err = c.run(streams{out: &buf})
	return buf.String(), err
}

// TestCerts: the files work, are private, and are not replaced by accident.
func TestCerts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "certs")
	flags := tlsFlags{NodeCA: filepath.Join(dir, "ca.pem"), NodeCert: filepath.Join(dir, "node.pem"), NodeKey: filepath.Join(dir, "node-key.pem")}
	read := func() map[string]string {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, f := range files {
			raw, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all[f.Name()] = string(raw)
		}
		return all
	}

	if _, err := (certsCmd{Dir: dir, Renew: true}).try(t); err == nil || !strings.Contains(err.Error(), "--renew: open") {
		t.Errorf("--renew without a CA: %v", err)
	}
	out, err := (certsCmd{Dir: dir, Cluster: "blue"}).try(t)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "--node-ca "+flags.NodeCA+" --node-cert "+flags.NodeCert+" --node-key "+flags.NodeKey) {
		t.Errorf("it does not say what to do with them:\n%s", out)
	}
	first := read()
	if len(first) != 4 {
		t.Errorf("%d files", len(first))
	}
	for _, name := range []string{"ca-key.pem", "node-key.pem"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	source, err := flags.source(nil)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(source.NotAfter()); left < 29*day || left > 30*day {
		t.Errorf("valid for %v", left)
	}
	pair, err := tls.LoadX509KeyPair(flags.NodeCert, flags.NodeKey)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(pair.Leaf.Issuer.CommonName, "blue") {
		t.Errorf("issued by %s", pair.Leaf.Issuer)
	}

	if _, err := (certsCmd{Dir: dir}).try(t); err == nil || !strings.Contains(err.Error(), "--renew") {
		t.Errorf("again: %v", err)
	}
	if _, err := (certsCmd{Dir: dir, Renew: true, Days: 10}).try(t); err != nil {
		t.Fatal(err)
	}
	renewed := read()
	if renewed["ca.pem"] != first["ca.pem"] || renewed["ca-key.pem"] != first["ca-key.pem"] || renewed["node.pem"] == first["node.pem"] || renewed["node-key.pem"] == first["node-key.pem"] {
		t.Error("--renew: want the same CA and another pair")
	}
	if source, err = flags.source(nil); err != nil || time.Until(source.NotAfter()) > 10*day {
		t.Errorf("after --renew: %v", err)
	}
	if _, err := (certsCmd{Dir: dir, Force: true}).try(t); err != nil {
		t.Fatal(err)
	}
	if forced := read(); len(forced) != 4 || forced["ca.pem"] == first["ca.pem"] {
		t.Error("--force: want another CA and no other file")
	}
	for _, bad := range []certsCmd{{Dir: dir, Force: true, Days: -1}, {Dir: dir, Force: true, NodeName: "not a name"}} {
		if _, err := bad.try(t); err == nil {
			t.Errorf("%+v: accepted", bad)
		}
	}
}

// TestOwnCerts: what up makes for its processes is theirs alone, and goes.
func TestOwnCerts(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	flags, remove, err := ownCerts("default")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := flags.source(nil); err != nil {
		t.Error(err)
	}
	dir := filepath.Dir(flags.NodeCA)
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, caKeyFile)); err == nil {
		t.Error("the CA's key is written down")
	}
	remove()
	if _, err := os.Stat(dir); err == nil {
		t.Error("not removed")
	}
}
