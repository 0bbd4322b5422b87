package checkpoint

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/sullae/sullae/shard/model"
)

var _ Source = (*Checkpoint)(nil)

// announceBytes is the most that is announced to the system ahead of reading.
// Pages announced long before their turn may be gone when it comes.
const announceBytes = 16 << 20

// Spec describes the model.
func (c *Checkpoint) Spec() *model.Spec { return c.spec }

// Name is the folder or file, or the name given to OpenFS.
func (c *Checkpoint) Name() string { return c.name }

// FS is the folder, for the tokenizer's files. Those of a GGUF file are what its
// metadata says, as a folder would have it.
func (c *Checkpoint) FS() fs.FS { return c.text }

// Config is the content of config.json; do not modify it. With
// GenerationConfig it is all that model.Parse needs elsewhere.
func (c *Checkpoint) Config() []byte { return c.config }

// GenerationConfig is the content of generation_config.json, nil where there
// is none.
func (c *Checkpoint) GenerationConfig() []byte { return c.gen }

// ID identifies the checkpoint: two folders with different configs, tensors,
// types or (as far as a sample shows) weights have different IDs, wherever they
// lie and whatever they are called.
func (c *Checkpoint) ID() string { return c.id }

// Bytes is the size of the files with weights together.
func (c *Checkpoint) Bytes() int64 {
	var n int64
	for _, b := range c.blobs {
		n += b.size
	}
	return n
}

// Quantized is how the first quantized tensor of the model is stored, "" if none
// is.
func (c *Checkpoint) Quantized() string {
	for _, s := range c.spec.Stored() {
		if m := c.tensors[s.Name]; m.info().Coding != nil {
			return m.format()
		}
	}
	return ""
}

// Names lists the tensors, sorted: those that the model reads, under its names,
// and what else is stored.
func (c *Checkpoint) Names() []string {
	names := slices.Collect(maps.Keys(c.tensors))
	for name := range c.data {
		if c.tensors[name] == nil && !c.parts[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Listing describes one tensor.
type Listing struct {
	Name string `json:"name"`
	// DType is how it is stored: a type of the file, which may be one that no kernel
	// takes, or the name of a quantization.
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	Bytes int64  `json:"bytes"` // of all that it is made of
	File  string `json:"file"`
	Used  bool   `json:"used"` // the model reads it
}

// List describes every tensor, sorted by name.
func (c *Checkpoint) List() []Listing {
	var out []Listing
	for _, name := range c.Names() {
		m := c.tensors[name]
		if m == nil {
			at := c.data[name]
			out = append(out, Listing{name, at.Type, at.Shape, at.End - at.Begin, at.blob.name, false})
			continue
		}
		l := Listing{Name: name, DType: m.format(), Shape: m.info().Shape, File: m.parts()[0].blob.name, Used: true}
		for _, at := range m.parts() {
			l.Bytes += at.End - at.Begin
		}
		out = append(out, l)
	}
	return out
}

// Extra lists the stored tensors that the model does not read, sorted.
func (c *Checkpoint) Extra() []string {
	var out []string
	for _, l := range c.List() {
		if !l.Used {
			out = append(out, l.Name)
		}
	}
	return out
}

// Info implements Source.
func (c *Checkpoint) Info(name string) (Info, error) {
	if m := c.tensors[name]; m != nil {
		return m.info(), nil
	}
	at, ok := c.data[name]
	if !ok {
		return Info{}, fmt.Errorf("%s: tensor %q is not stored here", c.name, name)
	}
	m, err := asPlain(at)
	if err != nil {
		return Info{}, fmt.Errorf("%s: tensor %q: %w", at.blob.name, name, err)
	}
	return m.info(), nil
}

// ReadRegion implements Source. It touches only the pages that hold the region.
func (c *Checkpoint) ReadRegion(ctx context.Context, dst []byte, name string, row, rows, col, cols int) error {
	info, err := c.Info(name)
	if err != nil {
		return err
	}
	if err := info.check(row, rows, col, cols, len(dst)); err != nil {
		return fmt.Errorf("%s: tensor %q: %w", c.name, name, err)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return fmt.Errorf("%s: %w", c.name, fs.ErrClosed)
	}
	m := c.tensors[name]
	if m == nil {
		m = plain{c.data[name], info.DType} // one that the model does not read
	}
	return m.read(ctx, dst, row, rows, col, cols)
}

// Release tells that a tensor is not read again soon: its pages no longer count
// as this process's memory. The next read is as good as the first.
func (c *Checkpoint) Release(name string) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if m := c.tensors[name]; m != nil && !c.closed {
		for _, at := range m.parts() {
			at.blob.drop(at.off, at.End-at.Begin)
		}
	}
}

// runs are the pieces of a tensor's bytes that a region is made of: count runs
// of run bytes, the first at byte first, each stride after the one before.
type runs struct {
	first, run, stride int64
	count              int
}

func (r runs) at(i int) int64 { return r.first + int64(i)*r.stride }

func (r runs) bytes() int64 { return r.run * int64(r.count) }

// take cuts off the first runs, of about limit bytes together: several whole
// ones, or a part of a single one.
func (r *runs) take(limit int64) runs {
	now := *r
	if r.count == 1 && r.run > limit {
		now.run = limit
		r.first, r.run = r.first+limit, r.run-limit
		return now
	}
	now.count = min(r.count, int(max(1, limit/r.run)))
	r.first, r.count = r.at(now.count), r.count-now.count
	return now
}

// check reports whether a region is within the tensor and has so many bytes.
func (n Info) check(row, rows, col, cols, bytes int) error {
	height, width := n.Rows(), n.Columns()
	if row < 0 || rows < 0 || row > height || rows > height-row || col < 0 || cols < 0 || col > width || cols > width-col {
		return fmt.Errorf("rows [%d, %d) and columns [%d, %d) are not within its shape %v", row, row+rows, col, col+cols, n.Shape)
	}
	if n.DType.Size() == 0 && (col%2 != 0 || cols%2 != 0) {
		return fmt.Errorf("columns [%d, %d) cut a byte of %v", col, col+cols, n.DType)
	}
	if want := int64(rows) * int64(n.RowBytes(col, cols)); int64(bytes) != want {
		return fmt.Errorf("a region of %d bytes into a buffer of %d", want, bytes)
	}
	return nil
}
