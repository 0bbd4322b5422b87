package gguf

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// File is a parsed header.
type File struct {
	Version int
	Meta    Meta
	Tensors []Tensor // as the file lists them
	// HeaderBytes is the size of the header: magic to the last tensor's entry.
	HeaderBytes int64
}

// Tensor is one entry of the header.
type Tensor struct {
	Name string
	Type Type
	Dims []int // as Hugging Face writes shapes: rows first, the values of a row last
	// Offset is where in the file the tensor begins, Bytes its size; of a type
	// whose size is not known, Bytes is 0.
	Offset, Bytes int64
}

// Bounds of what is believed.
const (
	maxString  = 1 << 24 // bytes
	maxEntries = 1 << 20 // metadata entries, and tensors
	maxDims    = 4
	maxAlign   = 1 << 20
)

const magic = "GGUF"

// Parse reads the header of a file of the given size.
func Parse(r io.ReaderAt, size int64) (*File, error) {
	c := newCursor(r, size)
	if got := c.bytes(4); c.err == nil && string(got) != magic {
		return nil, fmt.Errorf("offset 0: %.100q is not %.100q; this is no GGUF file", got, magic)
	}
	f := &File{Version: int(c.u32()), Meta: Meta{}}
	tensors, entries := c.u64(), c.u64()
	switch {
	case c.err != nil:
		return nil, c.err
	case bits.ReverseBytes32(uint32(f.Version)) < 16:
		return nil, errors.New("offset 4: the file is big-endian; only little-endian ones are read")
	case f.Version != 2 && f.Version != 3:
		return nil, fmt.Errorf("offset 4: version %d; versions 2 and 3 are read", f.Version)
	case tensors > maxEntries || entries > maxEntries:
		return nil, fmt.Errorf("offset 8: %d tensors and %d metadata entries, which is not believed", tensors, entries)
	}
	for range entries {
		if err := f.entry(c); err != nil {
			return nil, err
		}
	}
	for range tensors {
		if err := f.tensor(c); err != nil {
			return nil, err
		}
	}
	f.HeaderBytes = c.at
	return f, f.place(size)
}

// entry reads one metadata entry.
func (f *File) entry(c *cursor) error {
	at := c.at
	key := c.text()
	if c.err != nil {
		return c.err
	}
	if _, twice := f.Meta[key]; twice {
		return fmt.Errorf("offset %d: key %.100q appears twice", at, key)
	}
	v := c.value()
	if c.err != nil {
		return fmt.Errorf("key %.100q: %w", key, c.err)
	}
	f.Meta[key] = v
	return nil
}

// tensor reads one tensor's entry; its Offset is that of the file's for now.
func (f *File) tensor(c *cursor) error {
	t := Tensor{Name: c.text()}
	n := c.u32()
	if c.err == nil && (n < 1 || n > maxDims) {
		return fmt.Errorf("offset %d: tensor %.100q: %d dimensions; 1 to %d are possible", c.at-4, t.Name, n, maxDims)
	}
	elements := uint64(1)
	for range n {
		d := c.u64()
		var over uint64
		if over, elements = bits.Mul64(elements, d); over != 0 || elements >= 1<<48 {
			return fmt.Errorf("offset %d: tensor %.100q: its shape is larger than any file", c.at-8, t.Name)
		}
		t.Dims = append([]int{int(d)}, t.Dims...)
	}
	t.Type = Type(c.u32())
	t.Offset = int64(c.u64())
	if c.err != nil {
		if t.Name != "" {
			return fmt.Errorf("tensor %.100q: %w", t.Name, c.err)
		}
		return c.err
	}
	if b := t.Type.layout(); b != nil {
		row := t.Dims[len(t.Dims)-1]
		if row%b.Values != 0 {
			return fmt.Errorf("offset %d: tensor %.100q: rows of %d values are not made of whole blocks of %v, %d values each", c.at, t.Name, row, t.Type, b.Values)
		}
		t.Bytes = int64(elements) / int64(b.Values) * int64(b.Bytes)
	}
	f.Tensors = append(f.Tensors, t)
	return nil
}

// place turns the tensors' offsets into the file's and checks that they lie in it.
func (f *File) place(size int64) error {
	align := int64(32)
	if a, ok := f.Meta.Uint("general.alignment"); ok {
		if a < 1 || a > maxAlign || a&(a-1) != 0 {
			return fmt.Errorf("general.alignment: %d is not a power of two up to %d", a, maxAlign)
		}
		align = int64(a)
	}
	start := (f.HeaderBytes + align - 1) / align * align
	seen := map[string]bool{}
	for i := range f.Tensors {
		t := &f.Tensors[i]
		switch {
		case seen[t.Name]:
			return fmt.Errorf("tensor %.100q appears twice", t.Name)
		case t.Offset < 0 || t.Offset%align != 0:
			return fmt.Errorf("tensor %.100q: offset %d is not a multiple of general.alignment (%d)", t.Name, t.Offset, align)
		case t.Offset > size-start || t.Bytes > size-start-t.Offset:
			return fmt.Errorf("tensor %.100q: its %d bytes from %d end beyond the file's %d; the file is truncated", t.Name, t.Bytes, start+t.Offset, size)
		}
		seen[t.Name] = true
		t.Offset += start
	}
	return nil
}
