package synth

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/sullae/sullae/kernels/tensor"
)

// chunkBytes are made and written at once by one goroutine.
const chunkBytes = 4 << 20

// chunk is a part of a tensor: bytes [from, to) of it.
type chunk struct {
	file     *os.File
	piece    *piece
	from, to int64
}

// writeFiles writes the safetensors files into the folder dir, all cores making
// values. It returns when every goroutine has ended.
func writeFiles(ctx context.Context, dir string, files []weightFile, d tensor.DType, progress func(done, total int64)) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	report := counter(files, progress)
	chunks := make(chan chunk)
	var makers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		makers.Go(func() {
			buf := make([]byte, chunkBytes)
			for c := range chunks {
				part := buf[:c.to-c.from]
				c.piece.stream.fill(part, uint64(c.from)/uint64(d.Size()), d)
				if _, err := c.file.WriteAt(part, c.piece.off+c.from); err != nil {
					cancel(err)
				}
				report(int64(len(part)))
			}
		})
	}
	var open []*os.File
	defer func() {
		close(chunks)
		makers.Wait()
		for _, f := range open {
			err = errors.Join(err, f.Close())
		}
		if err == nil {
			err = context.Cause(ctx)
		}
	}()
	for i := range files {
		f, err := os.OpenFile(filepath.Join(dir, files[i].name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		open = append(open, f)
		if _, err := f.Write(files[i].header); err != nil {
			return err
		}
		for j := range files[i].pieces {
			p := &files[i].pieces[j]
			for from := int64(0); from < p.bytes; from += chunkBytes {
				select {
				case chunks <- chunk{f, p, from, min(from+chunkBytes, p.bytes)}:
				case <-ctx.Done():
					return nil // the deferred function has the cause
				}
			}
		}
	}
	return nil
}

// counter returns a function that adds written bytes and reports the sum.
func counter(files []weightFile, progress func(done, total int64)) func(int64) {
	if progress == nil {
		return func(int64) {}
	}
	var total, done int64
	for _, f := range files {
		total += f.size - int64(len(f.header))
	}
	var mu sync.Mutex
	return func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		done += n
		progress(done, total)
	}
}
