package checkpoint

import (
	"context"

	"github.com/sullae/sullae/kernels/tensor"
)

// Info describes one stored tensor.
type Info struct {
	Name  string
	DType tensor.DType
	Shape []int // one or two dimensions
}

// Source yields weights: a local checkpoint (Checkpoint) or the coordinator
// over gRPC (worker/remote). All methods may be called concurrently.
type Source interface {
	// Info describes a tensor; the error names the tensor and the place looked in.
	Info(name string) (Info, error)
	// ReadRegion fills dst with rows [row, row+rows) and columns [col, col+cols)
	// of a tensor as stored, row-major, little-endian. A vector is one row.
	ReadRegion(ctx context.Context, dst []byte, name string, row, rows, col, cols int) error
}

// Releaser is a Source that holds memory for what was read from it.
type Releaser interface {
	// Release tells that a tensor is not read again soon.
	Release(name string)
}
