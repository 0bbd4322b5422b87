package reload

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestValue: new files are taken up, broken ones are not, and are said once, after
// the time in which several are replaced.
func TestValue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := New(Config[string]{Files: []string{file}, Load: func() (string, error) { return "", errors.New("missing") }}); err == nil {
		t.Error("a first reading that fails is no error")
	}
	write("a")
	var changed, broken []string
	v, err := New(Config[string]{
		Files: []string{file},
		Load: func() (string, error) {
			raw, err := os.ReadFile(file)
			if err == nil && string(raw) == "bad" {
				err = errors.New("bad")
			}
			return string(raw), err
		},
		Changed: func(s string) { changed = append(changed, s) },
		Broken:  func(err error, s string) { broken = append(broken, err.Error()+" "+s) },
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	expect := func(want string, said int) {
		t.Helper()
		if got := v.at(now); got != want || len(broken) != said {
			t.Errorf("%q, said %q; want %q, said %d", got, broken, want, said)
		}
	}
	expect("a", 0)
	write("bb")
	expect("bb", 0)
	write("bad")
	expect("bb", 0)
	now = now.Add(Grace)
	expect("bb", 1)
	expect("bb", 1)
	if v.Last() != "bb" {
		t.Error(v.Last())
	}
	os.Remove(file)
	expect("bb", 1)
	now = now.Add(Grace)
	expect("bb", 2)
	write("ccc")
	expect("ccc", 2)
	if len(changed) != 2 || changed[1] != "ccc" || broken[0] != "bad bb" {
		t.Errorf("changed %q, broken %q", changed, broken)
	}
}
