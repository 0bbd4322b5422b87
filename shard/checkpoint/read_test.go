package checkpoint_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/shard/synth"
)

// noReaderAt hides all of a file but fs.File.
type noReaderAt struct{ fs.FS }

func (f noReaderAt) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	return struct{ fs.File }{file}, err
}

// TestWays: mapped, read in place, and read into memory, sharded or not, a
// checkpoint has the same content.
func TestWays(t *testing.T) {
	dir := modeltest.Tiny(t, synth.Options{DType: tensor.F16})
	mapped := modeltest.Open(t, dir)
	for name, open := range map[string]func() (*checkpoint.Checkpoint, error){
		"in place":  func() (*checkpoint.Checkpoint, error) { return checkpoint.OpenFS(folder(t, dir), "x") },
		"in memory": func() (*checkpoint.Checkpoint, error) { return checkpoint.OpenFS(noReaderAt{folder(t, dir)}, "x") },
		"sharded":   func() (*checkpoint.Checkpoint, error) { return checkpoint.Open(modeltest.Reshard(t, dir, 3)) },
	} {
		c, err := open()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(c.Names(), mapped.Names()) {
			t.Errorf("%s: other tensors", name)
		}
		if name != "sharded" && (c.ID() != mapped.ID() || c.Bytes() != mapped.Bytes()) {
			t.Errorf("%s: ID %s, %d bytes; mapped %s, %d", name, c.ID(), c.Bytes(), mapped.ID(), mapped.Bytes())
		}
		for _, tensor := range c.Names() {
			if !bytes.Equal(region(t, c, tensor, 0, -1, 0, -1), region(t, mapped, tensor, 0, -1, 0, -1)) {
				t.Errorf("%s: %s has other content", name, tensor)
			}
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// region reads a region; -1 stands for all rows or columns.
func region(t *testing.T, c *checkpoint.Checkpoint, name string, row, rows, col, cols int) []byte {
	t.Helper()
	info, err := c.Info(name)
	if err != nil {
		t.Fatal(err)
	}
	shape := info.Shape
	if len(shape) == 1 {
		shape = []int{1, shape[0]}
	}
	if rows < 0 {
		rows = shape[0]
	}
	if cols < 0 {
		cols = shape[1]
	}
	dst := make([]byte, rows*info.RowBytes(col, cols))
	if err := c.ReadRegion(t.Context(), dst, name, row, rows, col, cols); err != nil {
		t.Fatal(err)
	}
	return dst
}

func TestReadRegion(t *testing.T) {
	c := modeltest.Open(t, modeltest.Tiny(t, synth.Options{}))
	const name, rows, cols = "transformer.h.1.mlp.c_proj.weight", 64, 160
	all := region(t, c, name, 0, -1, 0, -1)
	for _, r := range [][4]int{{0, 64, 0, 160}, {3, 5, 0, 160}, {0, 64, 7, 9}, {63, 1, 159, 1}, {10, 0, 5, 7}, {10, 4, 160, 0}, {64, 0, 0, 160}} {
		got := region(t, c, name, r[0], r[1], r[2], r[3])
		var want []byte
		for row := r[0]; row < r[0]+r[1]; row++ {
			want = append(want, all[2*(row*cols+r[2]):2*(row*cols+r[2]+r[3])]...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("region %v differs", r)
		}
	}
	for _, r := range [][4]int{{-1, 1, 0, 1}, {0, 65, 0, 1}, {64, 1, 0, 1}, {0, 1, 160, 1}, {0, 1, 0, 161}, {0, 1, -1, 2}, {0, -1, 0, 1}, {1, math.MaxInt, 0, 1}} {
		err := c.ReadRegion(t.Context(), make([]byte, 2), name, r[0], r[1], r[2], r[3])
		if err == nil || !strings.Contains(err.Error(), "not within its shape [64 160]") || !strings.Contains(err.Error(), name) {
			t.Errorf("region %v: got %v", r, err)
		}
	}
	if err := c.ReadRegion(t.Context(), make([]byte, 3), name, 0, 1, 0, 1); err == nil || !strings.Contains(err.Error(), "2 bytes into a buffer of 3") {
		t.Errorf("got %v", err)
	}
	if err := c.ReadRegion(t.Context(), nil, "none", 0, 0, 0, 0); err == nil || !strings.Contains(err.Error(), `tensor "none" is not stored`) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.ReadRegion(ctx, make([]byte, 2), name, 0, 1, 0, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestClosed(t *testing.T) {
	c, err := checkpoint.Open(modeltest.Tiny(t, synth.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Error(err)
	}
	if err := c.ReadRegion(t.Context(), make([]byte, 2), "lm_head.weight", 0, 1, 0, 1); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// TestShortened: a file cut down under an open checkpoint gives an error, not a
// crash.
func TestShortened(t *testing.T) {
	dir := modeltest.Tiny(t, synth.Options{})
	c := modeltest.Open(t, dir)
	if err := os.Truncate(filepath.Join(dir, weights), 4096); err != nil {
		t.Fatal(err)
	}
	err := c.ReadRegion(t.Context(), make([]byte, 2*64), "lm_head.weight", 511, 1, 0, 64)
	if err == nil || !strings.Contains(err.Error(), weights) {
		t.Errorf("got %v", err)
	}
}

// TestExtra: tensors that the model does not read are listed and change nothing,
// even of a type or with dimensions that nothing takes.
func TestExtra(t *testing.T) {
	dir := modeltest.Tiny(t, synth.Options{})
	m := folder(t, dir)
	src := modeltest.Open(t, dir)
	var s modeltest.Shard
	for _, l := range src.List() {
		s.Add(l.Name, l.DType, l.Shape, region(t, src, l.Name, 0, -1, 0, -1))
	}
	s.Add("counter", "I64", []int{}, make([]byte, 8))
	s.Add("cube", "BF16", []int{2, 2, 2}, make([]byte, 16))
	m[weights] = &fstest.MapFile{Data: s.Bytes(t)}
	c, err := checkpoint.OpenFS(m, "x")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Extra(); !slices.Equal(got, []string{"counter", "cube"}) {
		t.Errorf("extra %v", got)
	}
	for name, want := range map[string]string{"counter": "dtype I64 is not supported", "cube": "3 dimensions"} {
		if _, err := c.Info(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestID: the ID follows the config, the layout and the weights, not the name.
func TestID(t *testing.T) {
	dir := modeltest.Tiny(t, synth.Options{})
	base := modeltest.Open(t, dir).ID()
	id := func(damage func(m fstest.MapFS)) string {
		m := folder(t, dir)
		damage(m)
		c, err := checkpoint.OpenFS(m, "other")
		if err != nil {
			t.Fatal(err)
		}
		return c.ID()
	}
	if id(func(fstest.MapFS) {}) != base {
		t.Error("the name changes the ID")
	}
	if id(func(m fstest.MapFS) { delete(m, "generation_config.json") }) != base {
		t.Error("the generation config changes the ID")
	}
	if id(func(m fstest.MapFS) { edit(m, "config.json", "0.00001", "0.00002") }) == base {
		t.Error("the config does not change the ID")
	}
	if id(func(m fstest.MapFS) { edit(m, weights, `{"format":"pt"}`, `{"format":"np"}`) }) == base {
		t.Error("the header does not change the ID")
	}
	if modeltest.Open(t, modeltest.Tiny(t, synth.Options{Seed: 1})).ID() == base {
		t.Error("the weights do not change the ID")
	}
}

// TestConcurrent: readers and Close may meet; a read has the right bytes or
// fails with fs.ErrClosed.
func TestConcurrent(t *testing.T) {
	c, err := checkpoint.Open(modeltest.Tiny(t, synth.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	want := region(t, c, "lm_head.weight", 7, 100, 3, 50)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			got := make([]byte, len(want))
			for {
				err := c.ReadRegion(t.Context(), got, "lm_head.weight", 7, 100, 3, 50)
				if errors.Is(err, fs.ErrClosed) {
					return
				}
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("other bytes, %v", err)
					return
				}
			}
		})
	}
	time.Sleep(5 * time.Millisecond) // let some reads happen first
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}
