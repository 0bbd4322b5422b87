package registry

import (
	"context"
	"log/slog"
	"time"
)

// outage logs once that etcd went away and once that it came back, for one loop.
type outage struct {
	log   *slog.Logger
	what  string // what waits, constant
	since time.Time
}

// failed notes that a call failed with err; one that ctx ended is no outage.
func (o *outage) failed(ctx context.Context, err error) {
	if ctx.Err() != nil || !o.since.IsZero() {
		return
	}
	o.since = time.Now()
	o.log.Warn("etcd does not answer, trying on", "for", o.what, "err", err)
}

// over notes that a call succeeded.
func (o *outage) over() {
	if o.since.IsZero() {
		return
	}
	o.log.Info("etcd answers again", "for", o.what, "after", time.Since(o.since).Round(time.Millisecond))
	o.since = time.Time{}
}
