package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// builds of other versions take the compiler its time.
var otherVersions = flag.Bool("versions", false, "build sullae as other versions and mix them (TestMixedVersions)")

// build makes a sullae with a file replaced by what change makes of it.
func build(t *testing.T, file string, change func(string) string) string {
	t.Helper()
	dir := t.TempDir()
	original, err := filepath.Abs(filepath.Join("..", "..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(text))
	if changed == string(text) {
		t.Fatalf("%s has not what is to be changed", file)
	}
	other, overlay := filepath.Join(dir, "other.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(other, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(map[string]any{"Replace": map[string]string{original: other}})
	if err := os.WriteFile(overlay, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "sullae")
	if msg, err := exec.Command("go", "build", "-overlay", overlay, "-o", out, "github.com/sullae/sullae/cmd/sullae").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}

// TestMixedVersions: a worker of another patch release works with the others, and
// the bits are the same; one that speaks another cluster protocol is refused, and
// status says why, while the group goes on.
func TestMixedVersions(t *testing.T) {
	if !*otherVersions {
		t.Skip("needs -versions")
	}
	patch := build(t, "cmd/sullae/version.go", func(s string) string {
		return strings.Replace(s, `version = "0.1.0"`, `version = "0.1.7"`, 1)
	})
	foreign := build(t, "collective/registry/member.go", func(s string) string {
		return strings.Replace(s, "const ProtocolVersion = ", "const ProtocolVersion = 9", 1)
	})
	etcd := "127.0.0.1:" + freePort(t)
	http := "127.0.0.1:" + freePort(t)
	p := launch(t, "coordinator", "--http", http, "--grpc", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0",
		"--gossip", "127.0.0.1:0", "--etcd-listen", etcd, "--workers", "2", "--regroup", "300ms")
	p.http = "http://" + http
	awaitListener(t, etcd)
	as := func(binary, id string) {
		ours := sullae
		sullae = binary
		worker(t, "--id", id, "--etcd", etcd)
		sullae = ours
	}
	as(foreign, "a-foreign")
	as(sullae, "w0")
	eventually(t, 30*time.Second, "the foreign worker is refused by name", func() bool {
		s, err := p.status()
		return err == nil && strings.Contains(s.Group.Reason, "worker a-foreign") && strings.Contains(s.Group.Reason, "speaks cluster protocol")
	})
	as(patch, "w1")
	p.awaitReady()
	got, err := p.stream(3)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.status()
	if err != nil {
		t.Fatal(err)
	}
	var versions []string
	for _, w := range s.Workers {
		versions = append(versions, fmt.Sprint(w.ID, " ", w.Rank, " ", w.Version, " ", w.Refused))
	}
	t.Log(strings.Join(versions, "\n"))
	if len(s.Workers) != 3 || s.Workers[0].Version == s.Workers[1].Version || s.Workers[2].Refused == "" {
		t.Errorf("workers: %v", versions)
	}
	refuses(t, p, "version")
	want, err := up(t).stream(3)
	if err != nil || !reflect.DeepEqual(got.Choices, want.Choices) {
		t.Errorf("mixed versions: %v, or other bits", err)
	}
}
