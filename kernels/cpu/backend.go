package cpu

import (
	"fmt"
	"runtime"

	"github.com/sullae/sullae/kernels"
)

// Class is the arithmetic class of every Backend of this package.
const Class = "cpu-f32"

// Config chooses how a Backend computes; no field changes a result.
type Config struct {
	// Threads is the number of goroutines that share an op, the caller's
	// counted; 0 means GOMAXPROCS.
	Threads int
	// Variant is "avx512vnni", "avxvnni", "avx2" or "portable"; "" means the environment's
	// SULLAE_CPU_VARIANT, or else the best that this CPU runs.
	Variant string
}

// Backend implements kernels.Backend. Its ops are done when they return.
type Backend struct {
	v       *variant
	pool    *pool
	threads []thread // the workers of the pool
	weights arena
	items   []attnItem
	parts   []attnItem // of items, where they are split
	apart   []sums
	// Of the products that run:
	rows     quantRows
	products []matmul
}

var (
	_ kernels.Backend    = (*Backend)(nil)
	_ kernels.Multiplier = (*Backend)(nil)
)

// New starts a Backend; Close ends its goroutines.
func New(cfg Config) (*Backend, error) {
	v, err := selectVariant(cfg.Variant)
	if err != nil {
		return nil, err
	}
	if cfg.Threads < 0 {
		return nil, fmt.Errorf("cpu: %d threads", cfg.Threads)
	}
	if cfg.Threads == 0 {
		cfg.Threads = runtime.GOMAXPROCS(0)
	}
	b := &Backend{v: v, pool: newPool(cfg.Threads), threads: make([]thread, cfg.Threads)}
	for i := range b.threads {
		b.threads[i].v, b.threads[i].index = v, i
	}
	return b, nil
}

// Info describes the backend.
func (b *Backend) Info() kernels.Info {
	return kernels.Info{Name: "cpu", Variant: b.v.name, Class: Class, Threads: b.pool.threads}
}

// Sync has nothing to wait for.
func (b *Backend) Sync() error { return nil }

// Close ends the goroutines. Weights, tables and KV pools are freed by
// themselves.
func (b *Backend) Close() error {
	b.pool.close()
	return nil
}

// buffer is a slice of Go's heap.
type buffer []float32

func (b buffer) Len() int { return len(b) }

func (b buffer) Slice(off, n int) kernels.Buffer { return b[off : off+n : off+n] }

func (buffer) Free() {}

func host(b kernels.Buffer) []float32 { return b.(buffer) }

// Alloc returns n zeroed values.
func (b *Backend) Alloc(n int) (kernels.Buffer, error) { return make(buffer, n), nil }

// Upload copies src to dst.
func (b *Backend) Upload(dst kernels.Buffer, src []float32) error {
	copy(host(dst)[:len(src)], src)
	return nil
}

// Download copies src to dst.
func (b *Backend) Download(dst []float32, src kernels.Buffer) error {
	copy(dst[:src.Len()], host(src))
	return nil
}

// Host is the buffer's own memory.
func (b *Backend) Host(buf kernels.Buffer) []float32 { return host(buf) }

// must panics where a shape does not fit.
func must(ok bool, op, format string, args ...any) {
	if !ok {
		broken(op, format, args...)
	}
}

// broken is must for loops: its arguments are made where they are wanted alone.
func broken(op, format string, args ...any) {
	panic("cpu: " + op + ": " + fmt.Sprintf(format, args...))
}
