//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/bits"
	"os"
	"time"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// wideSums is a tile's sums of matmul_wgmma_tree, in bytes.
const wideSums = 64 << 10

// wideStage is a stage of tiles of so many rows with its barriers (wgmma.cu, stage), in bytes.
func wideStage(rows int) int { return 2*(128*64+rows*64) + rows*4 + 2*8 }

// sharedLevels is how many levels of a tree's sums matmul_wgmma_tree has in shared memory,
// above the one in registers.
const sharedLevels = 1

// forEver is the patience of a kernel that waits for its copies as long as it takes.
const forEver = -1

// wide is the kernels of many rows on Hopper, where they are used.
type wide struct {
	on       bool
	patience int
	why      string // they are not
	// worth is when tiles are of 192 rows: where padding to them is no more than 16/worth
	// of that to 128.
	worth int
}

// Worths of tiles of 192 rows.
const (
	always  = 0
	usually = 15
	never   = 1 << 20
)

// newWide finds out whether wgmma can be used: where it is there, and its sums have the
// bits of mma.sync's, since a row's results may not depend on how many others are
// computed beside it; then, which of its kernels is the fastest, on which no bit depends.
// SULLAE_CUDA_WGMMA=0 has it left alone, =128 or =192 chooses tiles of so many rows.
func (b *Backend) newWide(log *slog.Logger) error {
	b.wide = wide{patience: forEver, worth: never}
	chosen := os.Getenv("SULLAE_CUDA_WGMMA")
	switch {
	case b.device.cc != 90 || b.exact:
		b.wide.why = "the device has no wgmma, or takes activations as they are"
		return nil
	case chosen == "0":
		b.wide.why = "SULLAE_CUDA_WGMMA=0"
	case !b.device.has("matmul_wgmma_128"):
		b.wide.why = "the driver did not compile it"
	default:
		differ, of, err := b.tryWide()
		if err == nil && differ == 0 {
			b.wide.on = true
			err = b.timeWide(chosen, 2048, 1536)
		} else if differ > 0 {
			b.wide.why = fmt.Sprintf("%d of %d sums have other bits than mma.sync's", differ, of)
		}
		if err != nil {
			return fmt.Errorf("wgmma was tried (SULLAE_CUDA_WGMMA=0 does without): %w", err)
		}
	}
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
	case b.wide.on && b.wide.worth == never:
		return "wgmma 128x128"
	case b.wide.on:
		return "wgmma 128x192"
	}
	return "mma.sync"
}

// wideTile is the tile for a matrix that is multiplied by wgmma. Trees have sums of 128
// rows.
func (b *Backend) wideTile(w *weight, rows int) tile {
	size := 128
	if len(w.leaves) == 2 && ceilDiv(rows, 192)*192*b.wide.worth <= ceilDiv(rows, 128)*128*16 {
		size = 192
	}
	return tile{kernel: fmt.Sprint("matmul_wgmma_", size), rows: size, outs: 128, wide: true}
}

// tryWide multiplies numbers that show in which order, and how exactly, a device adds: by
// wgmma, as ranges and as a tree, and by mma.sync. It returns how many sums differ.
func (b *Backend) tryWide() (differ, of int, err error) {
	const out, rows, k = 128, 128, 192
	rng := trial(1)
	raw, values := make([]byte, 2*out*k), make([]float32, rows*k)
	for i := range out * k {
		put(raw[2*i:], rng.value(i/k, i%k), tensor.F16)
	}
	for i := range values {
		values[i] = rng.value(i/k, i%k)
	}
	x, err := b.Alloc(rows * k)
	if err != nil {
		return 0, 0, err
	}
	defer x.Free()
	dst, err := b.Alloc(rows * out)
	if err != nil {
		return 0, 0, err
	}
	defer dst.Free()
	if err := b.Upload(x, values); err != nil {
		return 0, 0, err
	}
	defer func(p int, w wide) { b.device.processors, b.wide = p, w }(b.device.processors, b.wide)
	type way struct {
		wide
		processors int // to have the tree in the block, or not
	}
	byMMA := way{wide{}, 1000}
	wide128, wide192 := wide{on: true, worth: never, patience: 1 << 15}, wide{on: true, worth: always, patience: 1 << 15}
	for _, c := range []struct {
		leaves []int
		ways   []way
	}{{[]int{0, k}, []way{byMMA, {wide128, 1}, {wide192, 1}}}, {[]int{0, 160, k}, []way{byMMA, {wide128, 1000}, {wide128, 1}}}} {
		w, err := b.Pack(kernels.WeightSpec{Name: "wgmma's trial", Out: out, K: k, DType: tensor.F16, Leaves: c.leaves}, rowsOf{raw, 2 * k})
		if err != nil {
			return 0, 0, err
		}
		defer w.Free()
		var want []float32
		for _, way := range c.ways {
			b.device.processors, b.wide = way.processors, way.wide
			b.MatMul(dst, x, w, rows)
			got := make([]float32, rows*out)
			if err := b.Download(got, dst); err != nil {
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
	}
	return differ, of, b.err
}

// timeWide chooses among the kernels: as is said, or the fastest with a product of so many
// values along K and rows, and a few tiles for each multiprocessor. Where there are few of
// these it is not worth the time.
func (b *Backend) timeWide(chosen string, k, rows int) error {
	const enough = 16
	switch p := b.device.processors; {
	case chosen == "192":
		b.wide.worth = usually
		return nil
	case chosen == "128" || p < enough:
		return nil
	}
	w, err := b.newWeight(kernels.WeightSpec{Name: "wgmma's trial", Out: 64 * b.device.processors, K: k, DType: tensor.F16})
	if err != nil {
		return err
	}
	var x, dst kernels.Buffer
	if w.mem, err = b.alloc(w.blocks * w.blockBytes); err == nil {
		defer w.Free()
		w.mem.clear()
		err = w.placeTables(b)
	}
	if err == nil {
		if x, err = b.Alloc(rows * k); err == nil {
			defer x.Free()
			if dst, err = b.Alloc(rows * w.spec.Out); err == nil {
				defer dst.Free()
			}
		}
	}
	if err != nil {
		return b.err // no memory to spare: tiles of 128 rows
	}
	defer func(err error) { b.graphs.off = err }(b.graphs.off)
	b.graphs.off = errNoGraphs
	ways := []wide{{patience: forEver, why: "it is slower here"}, {on: true, patience: forEver, worth: never}, {on: true, patience: forEver, worth: usually}}
	best := time.Duration(math.MaxInt64)
	for round := range 3 {
		for _, way := range ways {
			b.wide, way = way, b.wide
			b.wait()
			start := time.Now()
			for range 4 {
				b.MatMul(dst, x, w, rows)
			}
			b.wait()
			took := time.Since(start)
			if round > 0 && took < best { // the first warms up
				best = took
			} else {
				b.wide = way
			}
		}
	}
	return b.err
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
		return f * size(36)
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

// lowestLevel is the lowest level of a tree's sums that is kept (wgmma.cu, waiting): a
// leaf's sum stays where it is when the next one's comes in one chunk.
func (l *layout) lowestLevel() int {
	if len(l.chunks) > len(l.leaves) {
		return 0
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

// launchWide multiplies n rows of in from row on with products of so many blocks of outputs:
// deep ranges of each, or deep nodes by the tree.
func (b *Backend) launchWide(t tile, w *weight, products uint64, count int, in operand, row, n, blocks, deep int, tree bool) {
	across, along := ceilDiv(blocks, 2), ceilDiv(n, t.rows)
	clusters := min(across*along*deep, max(1, b.device.processors/2))
	args := []uint64{products, uint64(count), in.at + uint64(row*in.rowBytes), in.scales + uint64(row*in.scaleBytes), uint64(n), uint64(w.steps()), uint64(in.between),
		uint64(across), uint64(along), uint64(deep), uint64(uint32(b.wide.patience))}
	kernel := t.kernel
	if tree {
		kernel = "matmul_wgmma_tree"
		lowest := w.lowestLevel()
		levels := max(0, w.levels()-lowest-1-sharedLevels)
		args = append(args, b.scratch(&b.parts, 2*clusters*levels*wideSums), uint64(lowest), uint64(levels))
	}
	b.launch(kernel, grid{2 * clusters, 1, 1}, args...)
}
