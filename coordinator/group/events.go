package group

import (
	"errors"
)

// Event is something that happened: "forming", "serving", or "ended", an epoch;
// "lost", a worker.
type Event struct {
	Kind, Group  string
	Epoch        uint64
	Worker, Text string
}

// event tells of one.
func (g *Group) event(e Event) {
	if e.Group = g.cfg.Name; g.cfg.OnEvent != nil {
		g.cfg.OnEvent(e)
	}
}

// ended tells why an epoch ended, and whom it lost.
func (g *Group) ended(err error) {
	epoch := g.last.epoch
	if re := (*rankError)(nil); errors.As(err, &re) && re.lost {
		g.event(Event{Kind: "lost", Epoch: epoch, Worker: re.worker, Text: re.err.Error()})
	}
	g.event(Event{Kind: "ended", Epoch: epoch, Text: err.Error()})
}
