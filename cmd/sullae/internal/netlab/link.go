// Package netlab makes several hosts on one machine: network namespaces, joined
// by a wire in user space that delays, limits, loses and cuts what goes over it
// (the kernel's own netem is often not there). It needs Linux and root. Nothing
// has a name in the system: the namespaces go with the processes in them.
package netlab

import (
	"errors"
	"time"
)

// ErrUnavailable says why no hosts can be made here.
var ErrUnavailable = errors.New("no network namespaces here")

// Link is what the wire does to every packet; the zero value is a perfect wire.
type Link struct {
	Delay time.Duration // one way
	// BitsPerSecond is what each host can send; 0: without limit.
	BitsPerSecond float64
	Loss          float64 // chance that a packet is lost
}

// mtuBytes is that of the hosts' interface. Large frames keep the wire's cost
// per byte low.
const mtuBytes = 9000

// queuePackets is how many packets a host's side of the wire holds; what comes
// beyond is lost, as at a switch.
const queuePackets = 4096
