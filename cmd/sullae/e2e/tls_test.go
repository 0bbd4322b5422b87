package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// certs makes a cluster's certificates and returns the flags that use them.
func certs(t *testing.T) (dir string, flags []string) {
	t.Helper()
	dir = t.TempDir()
	renew(t, dir)
	at := func(name string) string { return filepath.Join(dir, name) }
	return dir, []string{"--node-ca", at("ca.pem"), "--node-cert", at("node.pem"), "--node-key", at("node-key.pem")}
}

// renew makes a new pair, and the CA where there is none.
func renew(t *testing.T, dir string, args ...string) {
	t.Helper()
	if out, err := exec.Command(sullae, append([]string{"certs", dir}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestMutualTLS: every stream between nodes is TLS, weights included. A worker of
// another CA never joins, not even where the group would be complete with it, and
// both ends say why. A new pair under way costs no request, and serves for the
// next epoch.
func TestMutualTLS(t *testing.T) {
	long(t)
	etcd := "127.0.0.1:" + freePort(t)
	dir, flags := certs(t)
	_, foreign := certs(t)
	p := launch(t, append([]string{"coordinator", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0",
		"--gossip", "127.0.0.1:0", "--etcd-listen", etcd, "--workers", "2", "--regroup", "300ms"}, flags...)...)
	awaitListener(t, etcd)
	join := func(id string, flags []string) *exec.Cmd {
		return worker(t, append([]string{"--id", id, "--etcd", etcd}, flags...)...)
	}
	// By its id it would be the first that the group takes.
	bad := join("a-foreign", foreign)
	eventually(t, 30*time.Second, "the foreign worker is refused", func() bool {
		return strings.Contains(bad.Stderr.(*logBuffer).String(), "certificate not accepted") &&
			p.logged("worker cannot join") && p.logged("not signed by a CA in --node-ca")
	})
	join("w0", flags)
	victim := join("w1", flags)
	p.awaitReady()
	members := func() (ids string) {
		s, err := p.status()
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range s.Workers {
			if w.Rank >= 0 {
				ids += w.ID + " "
			}
		}
		return ids + s.Group.Phase
	}
	if m := members(); m != "w0 w1 serving" {
		t.Errorf("members: %s", m)
	}
	refuses(t, p, "certificate")
	want, err := p.stream(5)
	if err != nil {
		t.Fatal(err)
	}

	same := func(when string) {
		t.Helper()
		if got, err := p.stream(5); err != nil || !reflect.DeepEqual(got.Choices, want.Choices) {
			t.Errorf("%s: %v, or other bits", when, err)
		}
	}
	before, err := p.status()
	if err != nil {
		t.Fatal(err)
	}
	renew(t, dir, "--renew")
	same("under a new pair")
	eventually(t, 30*time.Second, "the new pair is read", func() bool { return p.logged("certificates read again") })
	if after, err := p.status(); err != nil || after.Group.Epoch != before.Group.Epoch {
		t.Errorf("the epoch ended with the certificate: %v", err)
	}

	victim.Process.Signal(syscall.SIGKILL)
	eventually(t, 30*time.Second, "the group goes on with one", func() bool { return members() == "w0 serving" })
	time.Sleep(1500 * time.Millisecond) // long enough to grow, were there one to grow by
	if m := members(); m != "w0 serving" {
		t.Errorf("members: %s", m)
	}
	same("with one worker")
	join("w2", flags)
	eventually(t, 30*time.Second, "a newcomer joins by the new pair", func() bool { return members() == "w0 w2 serving" })
	same("with the newcomer")
}

// TestUpTLS: up makes certificates for its processes, and leaves none behind.
func TestUpTLS(t *testing.T) {
	long(t)
	p := up(t, "--workers", "2", "--node-tls")
	if made, _ := filepath.Glob(filepath.Join(p.tmp, "sullae-certs-*")); len(made) != 1 {
		t.Errorf("certificates: %v", made)
	}
	if _, err := p.stream(6); err != nil {
		t.Error(err)
	}
	p.stop(syscall.SIGTERM)
	if left, _ := os.ReadDir(p.tmp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
