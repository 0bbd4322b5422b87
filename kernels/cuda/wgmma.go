//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/bits"
	"os"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// Of matmul_wgmma (wgmma.cu), in bytes: a stage with its barriers, and a tile's sums.
const (
	wideStage = 32<<10 + 512 + 16
	wideSums  = 64 << 10
)

// sharedLevels is how many levels of a tree's sums matmul_wgmma_tree has in shared memory.
const sharedLevels = 2

// forEver is the patience of a kernel that waits for its copies as long as it takes.
const forEver = -1

// wide is the kernels of many rows on Hopper, where they are used.
type wide struct {
	on       bool
	patience int
	why      string // they are not
}

// newWide finds out whether wgmma can be used: where it is there, and its sums have the
// bits of mma.sync's, since a row's results may not depend on how many others are
// computed beside it. SULLAE_CUDA_WGMMA=0 has it left alone.
func (b *Backend) newWide(log *slog.Logger) error {
	switch {
	case b.device.cc != 90:
		b.wide.why = "the device has no wgmma"
		return nil
	case os.Getenv("SULLAE_CUDA_WGMMA") == "0":
		b.wide.why = "SULLAE_CUDA_WGMMA=0"
	case !b.device.has("matmul_wgmma"):
		b.wide.why = "the driver did not compile it"
	case !b.exact:
		differ, of, err := b.tryWide()
		if err != nil {
			return fmt.Errorf("wgmma was tried (SULLAE_CUDA_WGMMA=0 does without): %w", err)
		}
		if differ > 0 {
			b.wide.why = fmt.Sprintf("%d of %d sums have other bits than mma.sync's", differ, of)
		}
	}
	b.wide.on, b.wide.patience = b.wide.why == "" && !b.exact, forEver
	if b.wide.why != "" {
		log.Warn("products of many rows are computed by mma.sync, at two thirds of wgmma's rate", "why", b.wide.why)
	}
	return nil
}

// Products is what computes products of many rows of 16-bit weights.
func (b *Backend) Products() string {
	switch {
	case b.exact:
		return "float32"
	case b.wide.on:
		return "wgmma"
	}
	return "mma.sync"
}

// tryWide multiplies numbers that show in which order, and how exactly, a device adds: by
// wgmma, as ranges and as a tree, and by mma.sync. It returns how many sums differ.
func (b *Backend) tryWide() (differ, of int, err error) {
	const out, rows = 128, 128
	leaves := []int{0, 160, 192}
	k := leaves[len(leaves)-1]
	rng := trial(1)
	raw := make([]byte, 2*out*k)
	for i := range out * k {
		put(raw[2*i:], rng.value(i/k, i%k), tensor.F16)
	}
	values := make([]float32, rows*k)
	for i := range values {
		values[i] = rng.value(i/k, i%k)
	}
	w, err := b.Pack(kernels.WeightSpec{Name: "wgmma's trial", Out: out, K: k, DType: tensor.F16, Leaves: leaves}, rowsOf{raw, 2 * k})
	if err != nil {
		return 0, 0, err
	}
	defer w.Free()
	buffers := make([]kernels.Buffer, 2)
	for i, n := range []int{rows * k, rows * out} {
		if buffers[i], err = b.Alloc(n); err != nil {
			return 0, 0, err
		}
		defer buffers[i].Free()
	}
	if err := b.Upload(buffers[0], values); err != nil {
		return 0, 0, err
	}
	defer func(p int, w wide) { b.device.processors, b.wide = p, w }(b.device.processors, b.wide)
	var want []float32
	for _, way := range []struct {
		wide       bool
		processors int // to have it dealt in one way or the other
	}{{false, 1000}, {true, 1000}, {true, 2}} {
		b.device.processors, b.wide = way.processors, wide{on: way.wide, patience: 1 << 15}
		b.MatMul(buffers[1], buffers[0], w, rows)
		got := make([]float32, rows*out)
		if err := b.Download(got, buffers[1]); err != nil {
			return 0, 0, err
		}
		if want == nil {
			want = got
			continue
		}
		of += len(got)
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				differ++
			}
		}
	}
	return differ, of, b.err
}

// trial is numbers that are hard to add: in turns of rows, of all sizes, of about one,
// those that cancel, and few of which a few are large.
type trial uint64

func (t *trial) next() uint32 {
	*t = *t*6364136223846793005 + 1442695040888963407
	return uint32(*t >> 33)
}

func (t *trial) value(row, k int) float32 {
	r := t.next()
	f := 1 + float32(r&1023)/1024
	if r>>10&1 == 1 {
		f = -f
	}
	size := func(of int) float32 { return float32(math.Ldexp(1, int(r>>11)%of-of*2/3)) }
	switch row % 4 {
	case 0:
		return f * size(24)
	case 1:
		return f
	case 2:
		if k%2 == 1 {
			return -1.5 + f/4096
		}
		return 1.5
	}
	if r>>20&7 != 0 {
		return 0
	}
	return f * size(30)
}

// rowsOf is a matrix in memory.
type rowsOf struct {
	data     []byte
	rowBytes int
}

func (r rowsOf) ReadRows(dst []byte, row, n, col, cols int) error {
	if cols*2 != r.rowBytes {
		return errors.New("part of a row")
	}
	copy(dst, r.data[row*r.rowBytes:(row+n)*r.rowBytes])
	return nil
}

// lowestLevel is the lowest level of a tree's sums that lies in memory: a leaf's sum stays
// in registers where the next one's comes in one chunk.
func (l *layout) lowestLevel() int {
	for i := range len(l.leaves) - 1 {
		if l.leaves[i+1]-l.leaves[i] > chunk {
			return 0
		}
	}
	return 1
}

// levels is how many levels of a tree's sums wait for others.
func (l *layout) levels() int {
	most := 1
	for _, n := range l.nodes {
		most = max(most, n.Len())
	}
	return bits.Len(uint(most - 1))
}

// launchWide multiplies n rows of in, padded to tiles, from row on: products in blocks of
// outputs, by ranges or by nodes.
func (b *Backend) launchWide(t tile, w *weight, products uint64, count int, in operand, row, n, blocks, deep int, tree bool) {
	across, along := ceilDiv(blocks, 2), ceilDiv(n, t.rows)
	clusters := min(across*along*deep, max(1, b.device.processors/2))
	args := []uint64{products, uint64(count), in.at + uint64(row*in.rowBytes), in.scales + uint64(row*in.scaleBytes), uint64(n), uint64(w.steps()), uint64(in.between),
		uint64(across), uint64(along), uint64(deep), uint64(uint32(b.wide.patience))}
	kernel := t.kernel
	if tree {
		kernel += "_tree"
		lowest := w.lowestLevel()
		levels := max(0, w.levels()-lowest-sharedLevels)
		args = append(args, b.scratch(&b.parts, 2*clusters*levels*wideSums), uint64(lowest), uint64(levels))
	}
	b.launch(kernel, grid{2 * clusters, 1, 1}, args...)
}
