package modeltest

import (
	"path/filepath"
	"testing"

	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/synth"
)

// Tiny makes a checkpoint with random weights in a folder of the test's own and
// returns the folder. Without a preset in o it is the smallest, "tiny"; the
// other options change its shape.
func Tiny(t testing.TB, o synth.Options) string {
	t.Helper()
	if o.Preset == "" {
		o.Preset = "tiny"
	}
	dir := filepath.Join(t.TempDir(), "model")
	if err := synth.Write(t.Context(), dir, o, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Open opens a checkpoint for as long as the test runs.
func Open(t testing.TB, dir string) *checkpoint.Checkpoint {
	t.Helper()
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing %s: %v", dir, err)
		}
	})
	return c
}
