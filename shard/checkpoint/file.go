package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/sullae/sullae/shard/mapfile"
)

// blob is one safetensors file: mapped into memory where the system can, else
// read through an io.ReaderAt, else held in memory.
type blob struct {
	name   string // for errors: "/models/exaone/model-00001-of-00002.safetensors"
	size   int64
	data   []byte // the whole file, or nil
	mapped bool   // data is a mapping of the file
	at     io.ReaderAt
	file   io.Closer // open as long as at is used
}

// openBlob opens a regular file of fsys. A file of the operating system is
// mapped; an embedded one is read in place.
func openBlob(fsys fs.FS, name, shown string) (*blob, error) {
	f, info, err := openRegular(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown, err)
	}
	b := &blob{name: shown, file: f, size: info.Size()}
	if osFile, ok := f.(*os.File); ok && b.size > 0 {
		if data, err := mapfile.Map(osFile, b.size); err == nil {
			b.data, b.mapped = data, true
			b.file = nil
			return b, f.Close() // the mapping stays
		} else if !errors.Is(err, errors.ErrUnsupported) {
			f.Close()
			return nil, fmt.Errorf("%s: mapping %d bytes: %w", shown, b.size, err)
		}
	}
	if at, ok := f.(io.ReaderAt); ok {
		b.at = at
		return b, nil
	}
	defer f.Close()
	b.file = nil
	if b.data, err = io.ReadAll(f); err != nil {
		return nil, fmt.Errorf("%s: %w", shown, cause(err))
	}
	b.size = int64(len(b.data))
	return b, nil
}

// openRegular opens a file after a look at what it is: opening a pipe would
// wait for its writer.
func openRegular(fsys fs.FS, name string) (fs.File, fs.FileInfo, error) {
	if info, err := fs.Stat(fsys, name); err != nil {
		return nil, nil, cause(err)
	} else if !info.Mode().IsRegular() {
		return nil, nil, errors.New("not a regular file")
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, nil, cause(err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, cause(err)
	}
	return f, info, nil
}

// read fills dst with the bytes from off. A mapped file that somebody shortened
// after it was opened raises a fault when it is touched; here that becomes an
// error that names the file.
func (b *blob) read(dst []byte, off int64) (err error) {
	if off < 0 || off > b.size || int64(len(dst)) > b.size-off {
		return fmt.Errorf("%s: bytes [%d, %d) of %d", b.name, off, off+int64(len(dst)), b.size)
	}
	if b.data == nil {
		if _, err := b.at.ReadAt(dst, off); err != nil && (err != io.EOF || off+int64(len(dst)) != b.size) {
			return fmt.Errorf("%s: %w", b.name, cause(err))
		}
		return nil
	}
	if b.mapped {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer b.recoverFault(&err)
	}
	copy(dst, b.data[off:])
	return nil
}

// recoverFault turns a memory fault into an error; every other panic goes on.
func (b *blob) recoverFault(err *error) {
	switch r := recover().(type) {
	case nil:
	case interface {
		runtime.Error
		Addr() uintptr
	}:
		*err = fmt.Errorf("%s: the file can no longer be read: it was shortened while it was in use, or its disk failed", b.name)
	default:
		panic(r)
	}
}

// willNeed tells the system that bytes [off, off+n) are read next.
func (b *blob) willNeed(off, n int64) {
	if b.mapped {
		mapfile.WillNeed(b.data, off, n)
	}
}

// drop tells that bytes [off, off+n) are not read again soon.
func (b *blob) drop(off, n int64) {
	if b.mapped {
		mapfile.Drop(b.data, off, n)
	}
}

// close gives the mapping and the file back.
func (b *blob) close() error {
	var err error
	if b.mapped {
		err = mapfile.Unmap(b.data)
	}
	b.data, b.mapped, b.at = nil, false, nil
	if b.file != nil {
		err = errors.Join(err, b.file.Close())
		b.file = nil
	}
	return err
}

// cause drops the path from a file error, for callers that name the file by a
// path of their own.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// ReadAt implements io.ReaderAt.
func (b *blob) ReadAt(p []byte, off int64) (int, error) {
	if off >= b.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), b.size-off))
	if err := b.read(p[:n], off); err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
