// Package checkpoint reads a model as it is published: a folder with config.json
// and safetensors files, plain or quantized (GPTQ, AWQ, FP8, compressed-tensors),
// or a GGUF file. Whatever the format, a model's tensors have the names that its
// config.json implies, and quantized ones are codes (kernels.Coding). Open checks everything that can be checked
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
	"strings"
	"sync"

	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/model"
)

// Checkpoint is an open model. Its methods may be called concurrently.
type Checkpoint struct {
	name   string
	fsys   fs.FS
	text   fs.FS // where the tokenizer's files are
	spec   *model.Spec
	config []byte // config.json
	gen    []byte // generation_config.json, or nil
	blobs  []*blob
	data   map[string]located // what is stored
	// tensors are what the model reads; parts are the names in data of what they
	// and the config are made of.
	tensors map[string]matrix
	parts   map[string]bool
	id      string

	mu     sync.RWMutex // held for reading by every read of weights
	closed bool
}

// Open opens the model in a folder, or in a GGUF file.
func Open(path string) (*Checkpoint, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", path, cause(err))
	}
	if info.IsDir() {
		return OpenFS(os.DirFS(path), path)
	}
	dir, file := filepath.Split(path)
	if !isGGUF(file) {
		return nil, fmt.Errorf("model %s: this is a file; give the folder with config.json and the safetensors files, or a .gguf file", path)
	}
	dir = filepath.Clean(dir)
	return open(os.DirFS(dir), path, func(c *Checkpoint) error { return c.openGGUF(file, dir) })
}

// OpenFS opens the model in the root of fsys, such as an embed.FS; name stands
// for it in errors. Files of the operating system are mapped, others read in
// place if they can be (io.ReaderAt), else held in memory.
func OpenFS(fsys fs.FS, name string) (*Checkpoint, error) {
	return open(fsys, name, func(c *Checkpoint) error {
		file, err := c.ggufFile()
		if err != nil {
			return err
		}
		if file != "" {
			return c.openGGUF(file, name)
		}
		return c.openFolder()
	})
}

func open(fsys fs.FS, name string, read func(*Checkpoint) error) (*Checkpoint, error) {
	c := &Checkpoint{name: name, fsys: fsys, text: fsys, data: map[string]located{}, tensors: map[string]matrix{}, parts: map[string]bool{}}
	if err := read(c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// openFolder opens config.json and the safetensors files.
func (c *Checkpoint) openFolder() error {
	var err error
	if c.config, err = c.readSmall("config.json", maxConfig); err != nil {
		return fmt.Errorf("%w; give a folder that holds a model, or a .gguf file", err)
	}
	if c.gen, err = c.readSmall("generation_config.json", maxConfig); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if c.spec, err = model.Parse(c.config, c.gen, c.name); err != nil {
		return err
	}
	q, err := parseQuantization(c.config, c.path("config.json"))
	if err != nil {
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
	return c.finish(h, func(want model.Stored) (matrix, error) { return c.assemble(q, want) })
}

// finish makes the model's tensors, each by find, checks them and computes the ID.
func (c *Checkpoint) finish(h *identity, find func(model.Stored) (matrix, error)) error {
	for _, want := range c.spec.Stored() {
		m, err := find(want)
		if err != nil {
			return err
		}
		at := m.parts()[0]
		if got := m.info().Shape; !slices.Equal(got, want.Shape) {
			return fmt.Errorf("%s: tensor %q: shape %v, but %s asks for %v", at.blob.name, want.Name, got, c.configName(), want.Shape)
		}
		c.tensors[want.Name] = m
		for _, p := range m.parts() {
			c.parts[p.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.data)) {
		if weight, ok := strings.CutSuffix(name, ".bias"); ok && !c.parts[name] && c.parts[weight+".weight"] {
			return fmt.Errorf("%s: tensor %q: %s has no such bias, and results without it would be wrong; this model is not supported", c.data[name].blob.name, name, c.spec.Architecture)
		}
	}
	c.spec.DType = tensor.F32 // what a quantized embedding is read as
	if info := c.tensors[c.spec.Tensor(model.Embed, 0).Name].info(); info.Coding == nil {
		c.spec.DType = info.DType
	}
	var err error
	c.id, err = h.finish(c)
	return err
}

// missing is the error for a tensor that is not there.
func (c *Checkpoint) missing(name string) error {
	return fmt.Errorf("%s: tensor %q is missing; %s describes another model, or the download is not complete", c.weightsName(), name, c.configName())
}

// asPlain is a stored tensor as it is.
func asPlain(at located) (plain, error) {
	d, err := at.dtype()
	if err == nil && len(at.Shape) != 1 && len(at.Shape) != 2 {
		err = fmt.Errorf("%d dimensions, where one or two are supported", len(at.Shape))
	}
	return plain{at, d}, err
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

// weightsName is the file to blame where a tensor is in none.
func (c *Checkpoint) weightsName() string {
	if len(c.blobs) == 1 {
		return c.blobs[0].name
	}
	return c.path(indexFile)
}

// configName is what describes the model, for errors.
func (c *Checkpoint) configName() string {
	if _, made := c.text.(memoryFS); made {
		return "its metadata"
	}
	return c.path("config.json")
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
