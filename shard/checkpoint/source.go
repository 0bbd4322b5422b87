package checkpoint

import (
	"context"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// Info describes one stored tensor.
type Info struct {
	Name  string
	DType tensor.DType
	Shape []int // one or two dimensions
	// Coding is what the elements mean, where the tensor is quantized; else nil.
	Coding *kernels.Coding
}

// Columns is the length of a row; a vector is one row.
func (n Info) Columns() int { return n.Shape[len(n.Shape)-1] }

// Rows is the number of rows.
func (n Info) Rows() int {
	if len(n.Shape) == 2 {
		return n.Shape[0]
	}
	return 1
}

// RowBytes is the size of columns [col, col+cols) of one row, as ReadRegion
// yields them: of a quantized tensor, a record (kernels.Coding) of its own.
func (n Info) RowBytes(col, cols int) int {
	size := n.DType.Bytes(cols)
	if n.Coding != nil {
		part, _ := n.Coding.Columns(col, cols)
		size += part.TailBytes()
	}
	return size
}

// Source yields weights: a local checkpoint (Checkpoint) or the coordinator
// over gRPC (worker/remote). All methods may be called concurrently.
type Source interface {
	// Info describes a tensor; the error names the tensor and the place looked in.
	Info(name string) (Info, error)
	// ReadRegion fills dst with rows [row, row+rows) and columns [col, col+cols)
	// of a tensor as stored, row-major, little-endian, Info.RowBytes each. A vector
	// is one row. Of 4-bit codes col and cols are even.
	ReadRegion(ctx context.Context, dst []byte, name string, row, rows, col, cols int) error
}

// Types tells how the tensors of a Source are stored (plan.Types).
func Types(s Source) func(name string) (tensor.DType, *kernels.Coding) {
	return func(name string) (tensor.DType, *kernels.Coding) {
		info, _ := s.Info(name)
		return info.DType, info.Coding
	}
}

// Releaser is a Source that holds memory for what was read from it.
type Releaser interface {
	// Release tells that a tensor is not read again soon.
	Release(name string)
}
