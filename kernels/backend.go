// Package kernels defines the arithmetic of a forward pass: the ops that a
// backend offers to a worker. kernels/reference is their specification in
// float64; kernels/cpu (and later kernels/cuda) implement them; kerneltest
// holds every implementation to the reference, and implementations of one class to each
// other, bit for bit.
//
// Rules that every implementation keeps (ARCHITECTURE.md, "The same bits"):
// an output element is computed in one order that depends on the model's shape
// alone: never on the number of rows in the call, of threads, of workers, or on
// the instruction set. Rows are independent of one another.
//
// Shapes are row-major. T rows (tokens) of a step, C hidden size, H query
// heads, D head size, V vocabulary. All activations are float32.
package kernels

import (
	"fmt"
	"slices"

	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/kernels/tree"
)

// Info describes a backend for logs, status and placement.
type Info struct {
	Name    string // "cpu"
	Variant string // "avx2", "portable"
	// Class is the arithmetic class: backends of one class give the same bits,
	// and only they may share a group.
	Class   string // "cpu-f32"
	Threads int
	// Rounds: a product with a matrix of BF16, F16 or codes rounds the other operand to 11
	// significant bits, and to 2^-39 of the largest value near by; attention over keys
	// and values in BF16 or F16 may round queries and weights to it.
	Rounds bool
}

// Buffer is a run of float32 values in the device's memory.
type Buffer interface {
	Len() int
	// Slice is the view of n values from off. It shares memory; it needs no Free.
	Slice(off, n int) Buffer
	Free()
}

// Weight is a packed matrix [Out, K] in the device's memory and layout.
type Weight interface {
	Spec() WeightSpec
	Bytes() int64
	Free()
}

// WeightSpec says how a matrix is cut along K. The product over K is summed in
// K order inside a leaf, by fused multiply-adds from zero (acc = fma(x_k, w_k, acc)),
// and over the leaves of a node by the fixed tree over that node's leaves.
type WeightSpec struct {
	Name  string // for errors: "transformer.h.3.mlp.c_proj.weight"
	Out   int
	K     int
	DType tensor.DType
	// Coding is what codes mean, where the matrix comes quantized; else nil.
	Coding *Coding
	// Format is how the matrix is kept; DType is what Pack reads either way. Codes
	// are kept as they are stored.
	Format Format
	// Leaves are the boundaries along K: leaf i is [Leaves[i], Leaves[i+1]).
	// Nil means one leaf, [0, K).
	Leaves []int
	// Nodes are the subtrees of leaves that this matrix sums, in order; the
	// product has one output per node. Nil means one node over all leaves.
	Nodes []tree.Range
}

// Check reports what is wrong with a matrix or table, as no backend keeps it, and
// gives its leaves and nodes, spelled out.
func (s WeightSpec) Check() (leaves []int, nodes []tree.Range, err error) {
	switch {
	case s.Out <= 0 || s.K <= 0 || s.DType.Bytes(2) == 0:
		err = fmt.Errorf("[%d, %d] of %v", s.Out, s.K, s.DType)
	case s.DType.Bytes(2*s.K) != 2*s.DType.Bytes(s.K):
		err = fmt.Errorf("an odd number (%d) of %v along K", s.K, s.DType)
	case s.Coding == nil && s.DType.Coded():
		err = fmt.Errorf("codes of type %v without a Coding", s.DType)
	case s.Format > Q4 || s.Coding != nil && s.Format != AsStored:
		err = fmt.Errorf("%v as %v", s.DType, s.Format)
	case s.Coding != nil:
		err = s.Coding.Check(s.DType, s.K)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: cannot keep %w", s.Name, err)
	}
	leaves, nodes = slices.Clone(s.Leaves), slices.Clone(s.Nodes)
	if s.Leaves == nil {
		leaves = []int{0, s.K}
	}
	n := len(leaves) - 1
	if n < 1 || leaves[0] != 0 || leaves[n] != s.K {
		return nil, nil, fmt.Errorf("%s: leaves %v do not cover [0, %d)", s.Name, leaves, s.K)
	}
	for i := range n {
		if leaves[i] >= leaves[i+1] {
			return nil, nil, fmt.Errorf("%s: leaves %v do not ascend", s.Name, leaves)
		}
	}
	if s.Nodes == nil {
		nodes = []tree.Range{{Lo: 0, Hi: n}}
	}
	for _, r := range nodes {
		if r.Lo < 0 || r.Empty() || r.Hi > n {
			return nil, nil, fmt.Errorf("%s: node %v is not a range of %d leaves", s.Name, r, n)
		}
	}
	return leaves, nodes, nil
}

// RowBytes is the size of columns [col, col+cols) of a row as it is stored.
func (s WeightSpec) RowBytes(col, cols int) int {
	size := s.DType.Bytes(cols)
	if s.Coding != nil {
		part, _ := s.Coding.Columns(col, cols)
		size += part.TailBytes()
	}
	return size
}

// Widen is the values of a stored row, in float32.
func (s WeightSpec) Widen(dst []float32, row []byte) {
	if s.Coding != nil {
		s.Coding.Decode(dst, row, s.DType)
		return
	}
	tensor.Widen(dst, row, s.DType)
}

// RowReader yields the stored bytes (little-endian) of a matrix. It is called
// from several goroutines.
type RowReader interface {
	// ReadRows fills dst with columns [col, col+cols) of rows [row, row+n), row
	// after row, WeightSpec.RowBytes each.
	ReadRows(dst []byte, row, n, col, cols int) error
}

// Table is an embedding table, kept as stored.
type Table interface {
	Bytes() int64
	Free()
}

// KVConfig is the shape of one rank's KV pool: per layer, keys and values
// [Blocks, BlockSize, KVHeads, HeadDim].
type KVConfig struct {
	Layers, Blocks, BlockSize, KVHeads, HeadDim int
	Type                                        KVType
}

// KV is a paged pool of keys and values.
type KV interface {
	Config() KVConfig
	Bytes() int64
	Free()
}

// SeqRows is one sequence's part of a step: rows [Row, Row+N) of the step's
// activations are its positions [Pos, Pos+N); its block table covers at least
// Pos+N positions.
type SeqRows struct {
	Row, N int
	Pos    int
	Blocks []int32
}

// AttentionSpec is the shape of one layer's attention on a rank.
type AttentionSpec struct {
	Layer   int
	Heads   int // query heads on this rank
	HeadDim int
	// KVHead[h] is the rank-local KV head that local query head h reads.
	KVHead []int
	Scale  float32
	Window int // positions visible, the query's own counted; 0 means all
	// Cap > 0: a score s, scaled, is replaced by Cap·tanh(s/Cap).
	Cap float32
}

// RopeTable holds cos and sin for positions [0, len/half), half = rotated size / 2,
// as [position][half].
type RopeTable struct {
	Half     int
	Cos, Sin []float32
}

// Backend runs the ops of one rank on one device. Ops are queued in call order
// and may run asynchronously; Sync waits for them and returns the first error.
// dst must not alias an input unless an op says so. A call with a shape that
// does not fit is a broken invariant and panics; what a device can fail at
// (memory, driver) is an error. One goroutine drives a Backend.
type Backend interface {
	Info() Info

	// Alloc returns n zeroed float32 values.
	Alloc(n int) (Buffer, error)
	// Upload copies src to dst[:len(src)]. src may be reused when it returns.
	Upload(dst Buffer, src []float32) error
	// Download waits for the ops before it and copies src to dst[:src.Len()].
	Download(dst []float32, src Buffer) error
	// Host returns the buffer's own memory where the host can address it (then
	// Sync before reading), or nil.
	Host(b Buffer) []float32
	Sync() error
	Close() error

	// Pack keeps a matrix in the device's layout: it copies the pieces and reads
	// what they leave, once. Pieces may overlap.
	Pack(spec WeightSpec, rows RowReader, pieces ...Piece) (Weight, error)
	// NewTable keeps an embedding table [Out, K] as it is stored; of spec it takes
	// those, Name, DType and Coding.
	NewTable(spec WeightSpec, rows RowReader) (Table, error)
	NewKV(cfg KVConfig) (KV, error)

	// Gather: dst[i,:] = table[ids[i],:], widened to float32.
	Gather(dst Buffer, t Table, ids []int32)
	// RMSNorm: dst[t,:] = x[t,:] / sqrt(mean(x[t,:]^2) + eps) * w. dst may be x.
	// After: Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.
	RMSNorm(dst, x, w Buffer, rows int, eps float32)
	// MatMul: dst[node, t, :] = sum over the node's leaves of x[t, leaf]·W[:, leaf]ᵀ;
	// x is [rows, K], dst [nodes, rows, Out]. For a quantized W the operands are
	// what package reference makes of them.
	MatMul(dst, x Buffer, w Weight, rows int)
	// Rope rotates x [rows, heads, headDim] in place at the given positions;
	// element j pairs with j+Half (rotate-half).
	// After: Su et al., "RoFormer", 2021.
	Rope(x Buffer, heads, headDim int, pos []int32, t *RopeTable)
	// WriteKV stores k and v [rows, kvHeads, headDim] at each sequence's positions,
	// rounded to the pool's type.
	WriteKV(kv KV, layer int, k, v Buffer, seqs []SeqRows)
	// Attention: dst [rows, heads*headDim], causal, over the pool's positions
	// [max(0, p-Window+1), p] for a query at position p.
	Attention(dst, q Buffer, kv KV, spec AttentionSpec, seqs []SeqRows)
	// SiLUMul: dst[i] = gate[i]/(1+exp(-gate[i])) * up[i]. dst may be gate.
	SiLUMul(dst, gate, up Buffer)
	// GELUMul: dst[i] = GELU(gate[i]) * up[i], GELU(x) = x/2 * (1 + tanh(sqrt(2/pi) *
	// (x + 0.044715 x^3))). dst may be gate.
	// After: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
	GELUMul(dst, gate, up Buffer)
	// Add: dst[i] += x[i].
	Add(dst, x Buffer)
	// AddBias: dst[t,:] += bias, for rows of dst as long as bias.
	AddBias(dst, bias Buffer, rows int)
	// Scale: dst[i] *= f.
	Scale(dst Buffer, f float32)
	// SoftCap: dst[i] = limit * tanh(dst[i]/limit).
	SoftCap(dst Buffer, limit float32)
	// ExpSums: for each row of logits [rows, n] and each block of `block`
	// columns (the last may be shorter): dst[row, b, 0] = the block's maximum,
	// dst[row, b, 1] = sum of exp(logit - maximum), summed in one fixed order.
	ExpSums(dst, logits Buffer, rows, n, block int)
}

// Storer is a Backend whose packed matrices can be kept as bytes, from which
// pieces of later ones are made.
type Storer interface {
	// Layout names the layout of the bytes; it changes when their meaning does.
	Layout() string
	// Extract is a part of a packed matrix as bytes: what FromPacked takes for a
	// matrix of these rows and leaves alone. It may be called beside other ops.
	Extract(w Weight, rows, leaves tree.Range) ([]byte, error)
	// FromPacked is a matrix over data, which must outlive it. It serves as a
	// Piece only.
	FromPacked(spec WeightSpec, data []byte) (Weight, error)
	// TableRows is rows [row, row+n) of a table as they were stored. The bytes
	// may be the table's own. It may be called beside other ops.
	TableRows(t Table, row, n int) ([]byte, error)
}

// Stepper is a Backend that does better where steps are laid out alike.
type Stepper interface {
	// BeginStep starts a step of some rows, when the last one's results are there. It
	// returns for how many rows the ops on rows are to be called, that many or more;
	// those beyond are of no sequence.
	BeginStep(rows int) int
}
