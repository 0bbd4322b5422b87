package coordinator

import (
	"slices"
	"sync"
	"time"

	"github.com/sullae/sullae/coordinator/group"
	"github.com/sullae/sullae/coordinator/status"
)

// keptEvents is how many events the status tells.
const keptEvents = 50

// events are the latest things that happened to the groups.
type events struct {
	mu  sync.Mutex
	all []status.Event
}

func (e *events) add(x group.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, status.Event{UnixMs: time.Now().UnixMilli(), Kind: x.Kind, Group: x.Group, Epoch: x.Epoch, Worker: x.Worker, Text: x.Text})
	if n := len(e.all) - keptEvents; n > 0 {
		e.all = slices.Delete(e.all, 0, n)
	}
}

func (e *events) list() []status.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]status.Event{}, e.all...)
}
