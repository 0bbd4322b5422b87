// Package checkpoint reads a model as Hugging Face publishes it: a folder with
// config.json and safetensors files. Open checks everything that can be checked
// without touching the weights: headers, offsets, and that every tensor the
// model needs is there in its shape. The weights are mapped, and only the bytes
// asked for are read.
//
// The files must stay as they are while a Checkpoint is open. One that is
// shortened meanwhile gives errors, not crashes; one that is overwritten in
// place gives wrong weights, which nothing can notice. Publish a new version by
// renaming, as the Hugging Face tools do.
package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/model"
)

// Checkpoint is an open model folder. Its methods may be called concurrently.
type Checkpoint struct {
	name   string
	fsys   fs.FS
	spec   *model.Spec
	config []byte // config.json
	gen    []byte // generation_config.json, or nil
	blobs  []*blob
	data   map[string]located
	id     string

	mu     sync.RWMutex // held for reading by every read of weights
	closed bool
}

// located is a tensor and where its bytes are.
type located struct {
	entry
	blob *blob
	off  int64 // of the tensor's first byte in the file
}

// Open opens the model in the folder dir.
func Open(dir string) (*Checkpoint, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("model folder %s: %w", dir, cause(err))
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("model folder %s: this is a file; give the folder with config.json and the safetensors files", dir)
	}
	return OpenFS(os.DirFS(dir), dir)
}

// OpenFS opens the model in the root of fsys, such as an embed.FS; name stands
// for it in errors. Files of the operating system are mapped, others read in
// place if they can be (io.ReaderAt), else held in memory.
func OpenFS(fsys fs.FS, name string) (*Checkpoint, error) {
	c := &Checkpoint{name: name, fsys: fsys, data: map[string]located{}}
	if err := c.open(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Checkpoint) open() error {
	var err error
	if c.config, err = c.readSmall("config.json", maxConfig); err != nil {
		return fmt.Errorf("%w; give a folder that holds a model", err)
	}
	if c.gen, err = c.readSmall("generation_config.json", maxConfig); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if c.spec, err = model.Parse(c.config, c.gen, c.name); err != nil {
		return err
	}
	files, index, err := c.weightFiles()
	if err != nil {
		return err
	}
	h := newIdentity(c.config)
	for _, file := range files {
		if err := c.addFile(file, index, h); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(index)) {
		if _, ok := c.data[name]; !ok {
			return fmt.Errorf("%s: weight_map: tensor %s is said to be in %s, which does not hold it", c.path(indexFile), quote(name), index[name])
		}
	}
	if err := c.checkExpected(); err != nil {
		return err
	}
	c.id, err = h.finish(c)
	return err
}

// addFile maps one safetensors file and takes in its tensors.
func (c *Checkpoint) addFile(file string, index map[string]string, h *identity) error {
	b, err := openBlob(c.fsys, file, c.path(file))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w; %s names it: the download is not complete", err, indexFile)
		}
		return err
	}
	c.blobs = append(c.blobs, b)
	first := make([]byte, min(8, b.size))
	if err := b.read(first, 0); err != nil {
		return err
	}
	n, err := headerLength(first, b.size)
	if err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	text := make([]byte, n)
	if err := b.read(text, 8); err != nil {
		return err
	}
	start := 8 + int64(n)
	entries, err := parseHeader(text, b.size-start)
	if err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	h.header(text, b.size)
	for _, e := range entries {
		if other, ok := c.data[e.Name]; ok {
			return fmt.Errorf("%s: tensor %s is in %s too", b.name, quote(e.Name), other.blob.name)
		}
		if index != nil && index[e.Name] != file {
			return fmt.Errorf("%s: weight_map: tensor %s is in %s, but the index says %s", c.path(indexFile), quote(e.Name), file, quote(index[e.Name]))
		}
		c.data[e.Name] = located{e, b, start + e.Begin}
	}
	return nil
}

// checkExpected reports the first tensor of the model that is missing, or has
// another shape or a type that no kernel takes.
func (c *Checkpoint) checkExpected() error {
	for _, want := range c.spec.Stored() {
		at, ok := c.data[want.Name]
		if !ok {
			return fmt.Errorf("%s: tensor %q is missing; %s describes another model, or the download is not complete", c.weightsName(), want.Name, c.path("config.json"))
		}
		if !slices.Equal(at.Shape, want.Shape) {
			return fmt.Errorf("%s: tensor %q: shape %v, but %s asks for %v", at.blob.name, want.Name, at.Shape, c.path("config.json"), want.Shape)
		}
		if _, err := at.dtype(); err != nil {
			return fmt.Errorf("%s: tensor %q: %w", at.blob.name, want.Name, err)
		}
	}
	c.spec.DType, _ = tensor.ParseDType(c.data[c.spec.Tensor(model.Embed, 0).Name].Type)
	return nil
}

// weightsName is the file to blame where a tensor is in none.
func (c *Checkpoint) weightsName() string {
	if len(c.blobs) == 1 {
		return c.blobs[0].name
	}
	return c.path(indexFile)
}

func (c *Checkpoint) path(file string) string { return filepath.Join(c.name, file) }

// Close unmaps the files, after the reads that are under way. Reads that come
// later fail with fs.ErrClosed.
func (c *Checkpoint) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var err error
	for _, b := range c.blobs {
		err = errors.Join(err, b.close())
	}
	return err
}
