package node

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/worker/engine"
)

// meter measures one epoch's collectives and steps. The rank's own goroutine uses it.
type meter struct {
	collective.Communicator
	m     *metrics
	ops   [collective.OpBarrier + 1]struct{ reduce, gather prometheus.Observer }
	phase struct{ compute, wire, wait prometheus.Observer }
	peers []peerMeter // by rank
	// last is how much of the communicator's figures has been counted.
	last collective.Stats
}

type peerMeter struct{ sent, received, wait prometheus.Counter }

// newMeter wraps a communicator; peers are the ranks' worker ids.
func (m *metrics) newMeter(c collective.Communicator, peers []string) *meter {
	e := &meter{Communicator: c, m: m}
	for op := range e.ops {
		name := collective.Op(op).String()
		switch collective.Op(op) {
		case collective.OpAttn, collective.OpMLP:
			e.ops[op].reduce = m.reduce.WithLabelValues(name)
		case collective.OpEmbed, collective.OpSample:
			e.ops[op].gather = m.gather.WithLabelValues(name)
		}
	}
	e.phase.compute, e.phase.wire, e.phase.wait = m.step.WithLabelValues(phaseCompute), m.step.WithLabelValues(phaseWire), m.step.WithLabelValues(phaseWait)
	// Peers of earlier epochs go, or a cluster of ever new names would fill them up.
	m.bytes.Reset()
	m.wait.Reset()
	for r, id := range peers {
		var p peerMeter
		if r != c.Rank() {
			p = peerMeter{m.bytes.WithLabelValues(id, "sent"), m.bytes.WithLabelValues(id, "received"), m.wait.WithLabelValues(id)}
		}
		e.peers = append(e.peers, p)
	}
	carried := map[bool]float64{}
	if measured, ok := c.(collective.Measured); ok {
		for r, p := range measured.Stats().Peers {
			if r != c.Rank() {
				carried[p.Polled]++
			}
		}
	}
	m.links.WithLabelValues("memory").Set(carried[true])
	m.links.WithLabelValues("stream").Set(carried[false])
	return e
}

// AllReduce implements collective.Communicator.
func (e *meter) AllReduce(ctx context.Context, tag collective.Tag, s collective.Summands, dst []float32) error {
	t0 := time.Now()
	err := e.Communicator.AllReduce(ctx, tag, s, dst)
	if o := e.ops[tag.Op].reduce; o != nil && err == nil {
		o.Observe(time.Since(t0).Seconds())
	}
	return err
}

// AllGather implements collective.Communicator.
func (e *meter) AllGather(ctx context.Context, tag collective.Tag, data []byte) ([][]byte, error) {
	t0 := time.Now()
	out, err := e.Communicator.AllGather(ctx, tag, data)
	if o := e.ops[tag.Op].gather; o != nil && err == nil {
		o.Observe(time.Since(t0).Seconds())
	}
	return out, err
}

// spent is what a step cost beside computing.
type spent struct {
	waited    time.Duration // of its time in collectives, for a peer
	bytesSent int64         // payload to all peers since the epoch's beginning
}

// stepped counts a step.
func (e *meter) stepped(r engine.Result) (s spent) {
	if m, ok := e.Communicator.(collective.Measured); ok {
		now := m.Stats()
		for p := range now.Peers {
			if p >= len(e.peers) || e.peers[p].wait == nil {
				continue
			}
			was := collective.PeerStats{}
			if p < len(e.last.Peers) {
				was = e.last.Peers[p]
			}
			e.peers[p].sent.Add(float64(now.Peers[p].BytesSent - was.BytesSent))
			e.peers[p].received.Add(float64(now.Peers[p].BytesReceived - was.BytesReceived))
			d := max(now.Peers[p].WaitSeconds-was.WaitSeconds, 0)
			e.peers[p].wait.Add(d)
			// Waits for several peers at once overlap: the longest is the time lost.
			s.waited = max(s.waited, time.Duration(d*float64(time.Second)))
			s.bytesSent += int64(now.Peers[p].BytesSent)
		}
		e.last = now
	}
	collectives := time.Duration(r.CollectiveNanos)
	s.waited = min(s.waited, collectives)
	e.phase.compute.Observe(time.Duration(r.ComputeNanos).Seconds())
	e.phase.wire.Observe((collectives - s.waited).Seconds())
	e.phase.wait.Observe(s.waited.Seconds())
	return s
}
