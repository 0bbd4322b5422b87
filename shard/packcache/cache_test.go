package packcache

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestDamage: whatever byte of a file changes, or wherever it is cut off, the
// unit is refused and removed, never served with other bytes.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	c, err := Open(dir, 1<<20, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	k := Key{Checkpoint: "c0ffee", Layout: "l", Format: "none", Layer: 3, Kind: "mlp", Index: 7}
	segments := []Segment{{"Gate", []byte("gate's bytes")}, {"Down", bytes.Repeat([]byte("down"), 40)}}
	if err := c.Put(k, segments); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, k.path())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	intact := func() bool {
		u := c.Get(k)
		if u == nil {
			return false
		}
		defer u.Close()
		for _, s := range segments {
			data := u.Segment(s.Name)
			if data == nil {
				return false
			}
			if !bytes.Equal(data, s.Data) {
				t.Fatalf("segment %s has other bytes", s.Name)
			}
		}
		return true
	}
	if !intact() {
		t.Fatal("a fresh unit is not there")
	}
	refused := 0
	for i := range whole {
		damaged := slices.Clone(whole)
		damaged[i] ^= 0x10
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		if !intact() {
			refused++
			if c.Has(k) {
				t.Fatalf("byte %d differs: the file was not removed", i)
			}
		}
	}
	if refused < len(whole)/2 { // the rest is padding
		t.Errorf("%d of %d damaged files were refused", refused, len(whole))
	}
	for n := range len(whole) {
		if err := os.WriteFile(path, whole[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		if intact() && n < len(whole)-align {
			t.Fatalf("a file cut off at byte %d was taken", n)
		}
	}
	if c.Get(Key{Checkpoint: "../c0ffee", Layout: "l", Format: "none", Kind: "mlp"}) != nil {
		t.Error("a key that leads out of the folder was taken")
	}
	if err := c.Put(Key{Checkpoint: "..", Layout: "l", Format: "none", Kind: "mlp"}, segments); err == nil {
		t.Error("a key that leads out of the folder was written")
	}
}

// TestLeftovers: what a killed process left half-written goes; what another one
// is writing stays.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "a"+partial), filepath.Join(dir, "b"+partial)
	for _, p := range []string{old, fresh} {
		if err := os.WriteFile(p, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * stale)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, 1<<20, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Error("an old half-written file is still there")
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error(err)
	}
}

// FuzzParse: no input makes parse panic or point outside of it.
func FuzzParse(f *testing.F) {
	var b bytes.Buffer
	if err := write(&b, Key{Checkpoint: "c"}, []Segment{{"Q", []byte("q")}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, body, err := parse(data)
		if err != nil {
			return
		}
		for _, s := range h.Segments {
			_ = body[s.Offset:][:s.Size]
		}
	})
}

// TestBound: a cache that is too small keeps what is in use and says
// that it is full.
func TestBound(t *testing.T) {
	dir := t.TempDir()
	cache, err := Open(dir, 10_000, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	key := func(i int) Key {
		return Key{Checkpoint: "c", Layout: "l", Format: "f", Kind: "head", Index: i}
	}
	put := func(i int) error {
		return cache.Put(key(i), []Segment{{Name: "Q", Data: slices.Repeat([]byte{byte(i)}, 4000)}})
	}
	for i := range 2 {
		if err := put(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(2); err != ErrFull {
		t.Fatalf("a third unit: %v, want ErrFull", err)
	}
	cache.Begin()
	u := cache.Get(key(1))
	if u == nil || u.Segment("Q")[0] != 1 {
		t.Fatal("unit 1 is gone")
	}
	u.Close()
	if err := put(2); err != nil {
		t.Fatalf("after unit 0 fell out of use: %v", err)
	}
	if cache.Get(key(0)) != nil {
		t.Error("unit 0 is still there")
	}
	for _, i := range []int{1, 2} {
		if u := cache.Get(key(i)); u == nil {
			t.Errorf("unit %d is gone", i)
		} else {
			u.Close()
		}
	}
}
