package packcache

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sullae/sullae/shard/mapfile"
)

// ErrFull is a unit that does not fit beside those in use.
var ErrFull = errors.New("the pack cache is full of units in use")

// Key is what a unit is made of.
type Key struct {
	Checkpoint string `json:"checkpoint"` // checkpoint.Checkpoint's ID
	Layout     string `json:"layout"`     // kernels.Storer's
	Format     string `json:"format"`     // kernels.Format's name
	Layer      int    `json:"layer"`      // 0 for what exists once
	Kind       string `json:"kind"`       // "head", "kv", "mlp", "vocab"
	Index      int    `json:"index"`
}

// path is the unit's place below the cache's folder.
func (k Key) path() string {
	return filepath.Join(k.Checkpoint, k.Layout+"-"+k.Format, fmt.Sprintf("%03d-%s-%03d%s", k.Layer, k.Kind, k.Index, suffix))
}

const suffix = ".pack"

// valid refuses keys that would lead out of the folder.
func (k Key) valid() bool {
	for _, s := range []string{k.Checkpoint, k.Layout, k.Format, k.Kind} {
		if s == "" || s == "." || s == ".." || strings.ContainsAny(s, `/\`) {
			return false
		}
	}
	return true
}

// Cache is a folder of units. Its methods may be called concurrently.
type Cache struct {
	dir   string
	limit int64
	log   *slog.Logger

	mu    sync.Mutex
	inUse map[Key]bool // read or written since the last Begin
	total int64        // bytes in the folder, as last counted
}

// Open opens a folder, which is made if it is missing, for at most limit bytes
// of units.
func Open(dir string, limit int64, log *slog.Logger) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("pack cache: %w", err)
	}
	probe, err := os.CreateTemp(dir, "probe-*"+partial)
	if err != nil {
		return nil, fmt.Errorf("pack cache: %s cannot be written to: %w", dir, err)
	}
	probe.Close()
	os.Remove(probe.Name())
	c := &Cache{dir: dir, limit: limit, log: log, inUse: map[Key]bool{}}
	files, err := c.scan()
	if err != nil {
		return nil, fmt.Errorf("pack cache: %w", err)
	}
	return c, c.makeRoom(files, 0)
}

// Begin starts a new share: units used before may go again.
func (c *Cache) Begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.inUse)
}

// Unit is an open unit.
type Unit struct {
	c      *Cache // nil: it is not on disk
	key    Key
	data   []byte // the mapping
	mapped bool
	head   *header
	body   []byte
}

// Get opens a unit; nil if it is not there, or not whole.
func (c *Cache) Get(k Key) *Unit {
	if !k.valid() {
		return nil
	}
	path := filepath.Join(c.dir, k.path())
	u := &Unit{c: c, key: k}
	var err error
	if u.data, u.mapped, err = load(path); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("pack cache: unit not read", "file", path, "err", err)
		}
		return nil
	}
	if u.head, u.body, err = parse(u.data); err == nil && u.head.Key != k {
		err = fmt.Errorf("%w: it is of %+v", errDamaged, u.head.Key)
	}
	if err != nil {
		u.remove(err)
		u.Close()
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // the order of use; a read-only folder keeps the old one
	c.mu.Lock()
	c.inUse[k] = true
	c.mu.Unlock()
	return u
}

// load maps a file, or reads it where files cannot be mapped.
func load(path string) (data []byte, mapped bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if info.Size() == 0 {
		return nil, false, nil
	}
	if data, err = mapfile.Map(f, info.Size()); err == nil {
		mapfile.WillNeed(data, 0, info.Size())
		return data, true, nil
	} else if !errors.Is(err, errors.ErrUnsupported) {
		return nil, false, err
	}
	data, err = os.ReadFile(path)
	return data, false, err
}

// Segment is one weight's part, checked; nil if it is not there or damaged. It
// is valid until Close.
func (u *Unit) Segment(name string) []byte {
	for _, s := range u.head.Segments {
		if s.Name != name {
			continue
		}
		data := u.body[s.Offset:][:s.Size]
		if crc32.Checksum(data, castagnoli) != s.CRC32C {
			u.remove(fmt.Errorf("%w: segment %s: its checksum differs", errDamaged, name))
			return nil
		}
		return data
	}
	return nil
}

// remove drops a unit that is not whole; it will be made again.
func (u *Unit) remove(why error) {
	if u.c == nil {
		return // of no folder
	}
	path := filepath.Join(u.c.dir, u.key.path())
	u.c.log.Warn("pack cache: unit removed; it will be packed again", "file", path, "err", why)
	_ = os.Remove(path) // if it stays it is refused again
}

// Close ends the use of the unit's segments.
func (u *Unit) Close() {
	if u.mapped {
		_ = mapfile.Unmap(u.data)
	}
	u.data, u.body, u.mapped = nil, nil, false
}

// Has reports whether a unit is there, and counts it as used.
func (c *Cache) Has(k Key) bool {
	if _, err := os.Stat(filepath.Join(c.dir, k.path())); err != nil || !k.valid() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inUse[k] = true
	return true
}

// Put writes a unit. ErrFull if it does not fit beside those in use.
func (c *Cache) Put(k Key, segments []Segment) (err error) {
	if !k.valid() {
		return fmt.Errorf("pack cache: %+v is no key", k)
	}
	size := int64(0)
	for _, s := range segments {
		size += roundUp(int64(len(s.Data)))
	}
	if err := c.reserve(k, size); err != nil {
		return err
	}
	path := filepath.Join(c.dir, k.path())
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("pack cache: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "*"+partial)
	if err != nil {
		return fmt.Errorf("pack cache: %w", err)
	}
	err = write(f, k, segments)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("pack cache: %w", err)
	}
	return nil
}
