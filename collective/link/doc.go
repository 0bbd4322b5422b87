// Package link is what a communicator asks of a transport: frames to and from
// one peer, in order. It owns the frame's layout, its checksums and the pooled
// buffers that payloads travel in; it knows neither sums nor membership. Package
// link/grpc carries frames between processes, link/shm between those of one host,
// link/mem within one.
package link

import (
	"errors"
	"fmt"
)

// ErrCorrupt is what Recv returns for a frame that was damaged on its way, or
// that another program or version wrote.
var ErrCorrupt = errors.New("corrupt frame")

// Link carries frames to and from one peer. Frames arrive in the order in which
// they were sent. One goroutine sends and one receives; Close may be called from
// any, any number of times.
type Link interface {
	// Send queues a frame with h and payload (nil means none). It fills in the
	// header's lengths and checksums. The link keeps its own reference to payload
	// until the frame is written; nobody may change payload after Send. Send may
	// block while the peer does not read; Close ends that.
	Send(h *Header, payload *Buffer) error

	// Recv waits for the next frame, whose checksums it has verified. The caller
	// must Release it. It returns *Bye once the peer has said goodbye, an error
	// that wraps ErrCorrupt for a damaged frame, and anything else for a broken
	// link. After an error Recv must not be called again, except in order to wait
	// for the end of a link that was closed.
	Recv() (Frame, error)

	// Close says goodbye with b, as far as that is possible within a short time,
	// and ends the link. Frames sent before are delivered first.
	Close(b Bye)
}

// Polled is a Link that its user looks into by itself, instead of calling Recv: no
// goroutine has to run for a frame to arrive. One goroutine at a time calls
// TryRecv and Arm, and one Wait.
type Polled interface {
	Link
	// TryRecv takes the next frame, if it has come. Errors are Recv's.
	TryRecv() (f Frame, ok bool, err error)
	// Arm has Wait return whenever a frame comes, or not any more; one that came
	// before does not count. Unless armed, a frame that comes disturbs nobody.
	Arm(on bool)
	// Wait returns nil when there may be frames to take: one came while armed, or the
	// peer can send no more until some are taken; and an error, which is Recv's, once
	// none will come any more, besides those that TryRecv still has.
	Wait() error
}

// Bye is a peer's last word.
type Bye struct {
	Failed bool   // the peer's epoch ended by an error, not by Close
	Reason string // for people
}

// MaxReason is the longest reason that travels; what is longer is cut.
const MaxReason = 1 << 10

func (b *Bye) Error() string {
	if b.Failed {
		return fmt.Sprintf("it failed: %s", b.Reason)
	}
	return fmt.Sprintf("it left: %s", b.Reason)
}
