package packcache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// partial ends the name of a file that is being written. One that is older than
// stale was left by a process that was killed.
const (
	partial = ".part"
	stale   = time.Hour
)

// file is a unit's file in the folder.
type file struct {
	path string
	size int64
	used time.Time
}

// scan lists the units, those that were not used for longest first, and removes
// what was left half-written.
func (c *Cache) scan() ([]file, error) {
	var files []file
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // another process removed it
			}
			return err
		}
		if d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // likewise
		}
		switch {
		case strings.HasSuffix(path, suffix):
			files = append(files, file{path, info.Size(), info.ModTime()})
		case strings.HasSuffix(path, partial) && time.Since(info.ModTime()) > stale:
			_ = os.Remove(path)
		}
		return nil
	})
	slices.SortFunc(files, func(a, b file) int { return a.used.Compare(b.used) })
	return files, err
}

// reserve makes room for a unit and counts it as used.
func (c *Cache) reserve(k Key, size int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total+size > c.limit {
		files, err := c.scan() // others may have written or removed some
		if err != nil {
			return err
		}
		if err := c.makeRoom(files, size); err != nil {
			return err
		}
	}
	c.total += size
	c.inUse[k] = true
	return nil
}

// makeRoom removes units that are not in use until size more bytes fit.
func (c *Cache) makeRoom(files []file, size int64) error {
	used := map[string]bool{}
	for k := range c.inUse {
		used[filepath.Join(c.dir, k.path())] = true
	}
	c.total = 0
	for _, f := range files {
		c.total += f.size
	}
	for _, f := range files {
		if c.total+size <= c.limit {
			return nil
		}
		if used[f.path] || os.Remove(f.path) != nil {
			continue
		}
		c.total -= f.size
		_ = os.Remove(filepath.Dir(f.path)) // the folder, once it is empty
	}
	if c.total+size > c.limit {
		return ErrFull
	}
	return nil
}
