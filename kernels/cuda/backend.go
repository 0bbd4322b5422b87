//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sullae/sullae/kernels"
)

// Config chooses a device and how it computes.
type Config struct {
	Device int
	// Exact takes activations as they are, where the default rounds them to
	// binary16 for the tensor cores: slower, and the same bits on every device.
	Exact bool
	// Log is told what the device or its driver can not do; nil: nobody is.
	Log *slog.Logger
}

// Backend implements kernels.Backend on one GPU. Ops are queued on its stream.
type Backend struct {
	device  *device
	exact   bool
	wide    wide
	params  *params
	log     *slog.Logger
	queue   queue
	graphs  graphs
	overlap overlap
	idle    bool // nothing was queued since all was waited for
	args    args
	staging staging
	// copies is the stream of copies beside the ops, reached where these are when one
	// begins.
	copies, reached uintptr
	side            side
	err             error // the first; ops after it do nothing
	timed           bool  // TimeCopies
	copied          time.Duration
	// stepRows and stepPadded are the rows of the step that BeginStep began, and for
	// how many it is laid out.
	stepRows, stepPadded int

	// pass and turns are ops that are held back, to be done with those after them.
	pass  *rowPass
	turns []turn

	parts, rounded, scales *memory // scratch of products, and of attention
	sums                   *memory // scratch of products with codes
	ended                  *memory // maxTiles counters (product.h, ended), zero between launches
	foldBytes              int     // the constant, or a test's
	ropes                  map[*kernels.RopeTable]*ropeTable
	held                   atomic.Int64 // bytes of the device
	own                    int64        // of them, those of New
}

var (
	_ kernels.Backend       = (*Backend)(nil)
	_ kernels.MultiMatMuler = (*Backend)(nil)
	_ kernels.Stepper       = (*Backend)(nil)
)

// New opens a GPU. The error is ErrNoDevice where there is none to use.
func New(cfg Config) (*Backend, error) {
	log := cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	d, err := openDevice(cfg.Device, log)
	if err != nil {
		return nil, err
	}
	b := &Backend{device: d, log: log, exact: cfg.Exact, foldBytes: foldBytes, params: &params{}, ropes: map[*kernels.RopeTable]*ropeTable{}}
	b.args = args{have: map[uint64]int{}, seed: maphash.MakeSeed()}
	if b.overlap, err = newOverlap(d); err == nil {
		b.args.host, err = b.pinned(argBytes)
	}
	if err == nil {
		b.args.mirror, err = b.alloc(argBytes)
	}
	if err == nil {
		b.ended, err = b.alloc(4 * maxTiles)
	}
	if err == nil {
		b.ended.clear()
		err = b.newStaging()
	}
	if err == nil {
		err = b.newWide(log)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	b.own = b.held.Load()
	return b, nil
}

// Info implements kernels.Backend.
func (b *Backend) Info() kernels.Info {
	i := kernels.Info{Name: "cuda", Variant: fmt.Sprintf("sm_%d", b.device.cc), Class: "cuda-f32", Threads: 1}
	if !b.exact {
		i.Class = fmt.Sprintf("cuda-f16-sm%d", b.device.cc)
		i.Rounds = true
	}
	return i
}

// DeviceName is the GPU's name, for logs.
func (b *Backend) DeviceName() string { return b.device.name }

// FreeMemory is the device's free memory in bytes.
func (b *Backend) FreeMemory() int64 {
	defer b.device.enter()()
	free, _ := b.memInfo()
	return int64(free)
}

// DeviceID is the GPU's UUID, as nvidia-smi prints it.
func (b *Backend) DeviceID() string { return b.device.uuid }

// HeldMemory is how many bytes of the device's memory the backend has beside what it has
// from the beginning. Others may have memory of the same device.
func (b *Backend) HeldMemory() int64 { return b.held.Load() - b.own }

// Lost is why the device can no longer be used, nil while it can. It waits for the ops
// before it, of which some may have failed without anybody's having been told.
func (b *Backend) Lost() error { return b.Sync() }

// Close frees what the backend has; weights, buffers and pools are freed by those
// who have them, before.
func (b *Backend) Close() error {
	b.wait()
	b.freeRopes()
	for _, m := range []*memory{b.parts, b.rounded, b.scales, b.sums, b.ended, b.args.mirror} {
		m.free()
	}
	b.graphs.drop(b)
	b.unpin(b.args.host)
	b.freeStaging()
	b.freeSide()
	b.freeCopies()
	b.device.close()
	return b.err
}
