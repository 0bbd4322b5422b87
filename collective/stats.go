package collective

import "time"

// Stats is what a rank has spent on collectives in this epoch.
type Stats struct {
	Epoch      uint64
	Rank       int
	AllReduces uint64
	AllGathers uint64
	Seconds    float64 // within AllReduce and AllGather
	Peers      []PeerStats
}

// PeerStats is one peer's share of Stats; a rank's entry for itself is zero.
type PeerStats struct {
	BytesSent     uint64  // payloads
	BytesReceived uint64  // payloads
	FramesSent    uint64  // frames of data
	FramesRecv    uint64  // frames of data
	WaitSeconds   float64 // time in which nothing could be done and this peer's frame was missing
	Polled        bool    // its link is a link.Polled: the host's memory
}

// Measured is a communicator that keeps Stats.
type Measured interface {
	// Stats returns a snapshot; any goroutine may call it.
	Stats() Stats
}

// Stats implements Measured.
func (g *Group) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stats
	s.Peers = append([]PeerStats(nil), s.Peers...)
	return s
}

// finished counts a collective that began at t0.
func (g *Group) finished(count *uint64, t0 time.Time) {
	g.mu.Lock()
	*count++
	g.stats.Seconds += time.Since(t0).Seconds()
	g.mu.Unlock()
}
