// Package collective is what the ranks of a group share: the epoch that they
// belong to, and the two operations by which they exchange activations. How a
// message travels is a link's affair (link/grpc, link/mem); who is alive is
// member's.
package collective

import (
	"context"
	"errors"
	"fmt"

	"github.com/sullae/sullae/kernels/tree"
)

// Errors that a collective may end with. The first error ends the epoch for its
// rank and, by closed links, for all: nothing may be retried within it. A rank
// that had received all it needed may still finish the collective in which
// another one failed; its next one fails.
var (
	ErrPeerLost = errors.New("peer lost")           // a link broke or closed
	ErrTimeout  = errors.New("peer silent")         // a wait passed its deadline
	ErrMismatch = errors.New("ranks disagree")      // epoch, tag, size or check differ
	ErrClosed   = errors.New("communicator closed") // Close was called
)

// Op names a collective within a layer.
type Op uint8

// Ops in the order in which a step performs them.
const (
	OpEmbed  Op = iota + 1 // gather embedding rows
	OpAttn                 // sum attention output
	OpMLP                  // sum MLP down product
	OpSample               // gather candidates
	OpBarrier
)

func (o Op) String() string {
	switch o {
	case OpEmbed:
		return "embed"
	case OpAttn:
		return "attn"
	case OpMLP:
		return "mlp"
	case OpSample:
		return "sample"
	case OpBarrier:
		return "barrier"
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// Tag identifies one collective of an epoch. Every frame carries the epoch and
// the tag; a frame with another one is ErrMismatch that names both.
type Tag struct {
	Step  uint64
	Layer uint16
	Op    Op
	// Check is a hash of what the ranks must agree on: the step's plan and the
	// tokens so far. Ranks whose Check differs stop with ErrMismatch.
	Check uint64
}

// String names the collective for people.
func (t Tag) String() string { return fmt.Sprintf("step %d layer %d %s", t.Step, t.Layer, t.Op) }

// Summands is a rank's part of a tree sum: Parts[i] is the value of the subtree
// Nodes[i], rows*cols float32 each. Nodes are tree.Maximal(Leaves, share).
type Summands struct {
	Leaves int
	Shares []tree.Range // every rank's leaves; Shares[Rank] is ours
	Parts  [][]float32  // one per node of tree.Maximal(Leaves, Shares[rank])
}

// Communicator performs collectives among the ranks of one epoch. Every rank
// calls the same operations in the same order. One goroutine uses it at a time;
// Close may be called from any.
type Communicator interface {
	Rank() int
	WorldSize() int
	// AllReduce leaves in dst the sum of all ranks' parts by the fixed tree. ctx
	// and the communicator's timeout bound every wait; the end of either is the
	// epoch's. All parts and dst have equal length. Parts may be overwritten; dst
	// may be one of them, at the price of a copy.
	AllReduce(ctx context.Context, tag Tag, s Summands, dst []float32) error
	// AllGather returns every rank's data in rank order; sizes may differ. The
	// result is valid until the next call.
	AllGather(ctx context.Context, tag Tag, data []byte) ([][]byte, error)
	// Close ends the epoch for this rank: peers get ErrPeerLost, waits end.
	Close() error
}
