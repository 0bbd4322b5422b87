package checkpoint

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/sullae/sullae/shard/mapfile"
	"github.com/sullae/sullae/shard/model"
)

var _ Source = (*Checkpoint)(nil)

// announceBytes is the most that is announced to the system ahead of reading.
// Pages announced long before their turn may be gone when it comes.
const announceBytes = 16 << 20

// Spec describes the model.
func (c *Checkpoint) Spec() *model.Spec { return c.spec }

// Name is the folder, or the name given to OpenFS.
func (c *Checkpoint) Name() string { return c.name }

// FS is the folder, for the tokenizer's files.
func (c *Checkpoint) FS() fs.FS { return c.fsys }

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

// Bytes is the size of the safetensors files together.
func (c *Checkpoint) Bytes() int64 {
	var n int64
	for _, b := range c.blobs {
		n += b.size
	}
	return n
}

// Names lists the stored tensors, sorted.
func (c *Checkpoint) Names() []string { return slices.Sorted(maps.Keys(c.data)) }

// Listing describes one stored tensor as the file has it.
type Listing struct {
	Name  string `json:"name"`
	DType string `json:"dtype"` // as in the file; may be one that no kernel takes
	Shape []int  `json:"shape"`
	Bytes int64  `json:"bytes"`
	File  string `json:"file"`
	Used  bool   `json:"used"` // the model reads it
}

// List describes every stored tensor, sorted by name.
func (c *Checkpoint) List() []Listing {
	used := map[string]bool{}
	for _, s := range c.spec.Stored() {
		used[s.Name] = true
	}
	out := make([]Listing, 0, len(c.data))
	for _, name := range c.Names() {
		at := c.data[name]
		out = append(out, Listing{name, at.Type, at.Shape, at.End - at.Begin, at.blob.name, used[name]})
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
	at, ok := c.data[name]
	if !ok {
		return Info{}, fmt.Errorf("%s: tensor %q is not stored here", c.name, name)
	}
	d, err := at.dtype()
	if err == nil && len(at.Shape) != 1 && len(at.Shape) != 2 {
		err = fmt.Errorf("%d dimensions, where one or two are supported", len(at.Shape))
	}
	if err != nil {
		return Info{}, fmt.Errorf("%s: tensor %q: %w", at.blob.name, name, err)
	}
	return Info{Name: name, DType: d, Shape: slices.Clone(at.Shape)}, nil
}

// ReadRegion implements Source. It touches only the pages that hold the region.
func (c *Checkpoint) ReadRegion(ctx context.Context, dst []byte, name string, row, rows, col, cols int) error {
	info, err := c.Info(name)
	if err != nil {
		return err
	}
	r, err := info.region(row, rows, col, cols)
	if err != nil {
		return fmt.Errorf("%s: tensor %q: %w", c.name, name, err)
	}
	if int64(len(dst)) != r.bytes() {
		return fmt.Errorf("%s: tensor %q: a region of %d bytes into a buffer of %d", c.name, name, r.bytes(), len(dst))
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return fmt.Errorf("%s: %w", c.name, fs.ErrClosed)
	}
	at := c.data[name]
	for len(dst) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := r.take(announceBytes)
		for i := range now.count {
			at.blob.willNeed(at.off+now.at(i), now.run)
		}
		for i := range now.count {
			if err := at.blob.read(dst[:now.run], at.off+now.at(i)); err != nil {
				return err
			}
			dst = dst[now.run:]
		}
		if at.blob.mapped && now.count == 1 { // whole rows: nobody else wants these pages
			mapfile.Drop(at.blob.data, at.off+now.first, now.run)
		}
	}
	return nil
}

// Release tells that a tensor is not read again soon: its pages no longer count
// as this process's memory. The next read is as good as the first.
func (c *Checkpoint) Release(name string) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if at, ok := c.data[name]; ok && !c.closed && at.blob.mapped {
		mapfile.Drop(at.blob.data, at.off, at.End-at.Begin)
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

// region is where rows [row, row+rows) and columns [col, col+cols) lie.
func (n Info) region(row, rows, col, cols int) (runs, error) {
	height, width := 1, n.Shape[0]
	if len(n.Shape) == 2 {
		height, width = n.Shape[0], n.Shape[1]
	}
	if row < 0 || rows < 0 || row > height || rows > height-row || col < 0 || cols < 0 || col > width || cols > width-col {
		return runs{}, fmt.Errorf("rows [%d, %d) and columns [%d, %d) are not within its shape %v", row, row+rows, col, col+cols, n.Shape)
	}
	size := int64(n.DType.Size())
	r := runs{
		first:  (int64(row)*int64(width) + int64(col)) * size,
		run:    int64(cols) * size,
		stride: int64(width) * size,
		count:  rows,
	}
	if cols == width { // whole rows are one run
		r.run, r.count = r.run*int64(rows), 1
	}
	return r, nil
}
