package group

import (
	"context"
	"errors"
	"time"

	"github.com/sullae/sullae/collective/registry"
)

// formed is an epoch that this coordinator began.
type formed struct {
	epoch uint64
	token []byte
	// took are the instances of the workers that took the last epoch which all did, by
	// id: without etcd no others obey.
	took map[string]string
}

// strange is an error that names the workers which would refuse an epoch that is
// not recorded; nil where none would.
func (f formed) strange(workers []registry.Worker) error {
	re := &rankError{unknown: true, err: errors.New("etcd is away, and it was in no epoch of this coordinator")}
	for _, w := range workers {
		if i, ok := f.took[w.ID]; !ok || i != w.Instance {
			re.others, re.worker = append(re.others, w.ID), w.ID
		}
	}
	if re.worker == "" {
		return nil
	}
	return re
}

// Bounds of writing the generation record.
const (
	recordTimeout = time.Second
	recordAgain   = 200 * time.Millisecond // when etcd was away a moment ago
	recordRetry   = time.Second
)

// record writes an epoch's generation record before any work. While etcd is away
// a group that has served goes on without: its workers know this coordinator by
// the last epoch's token, and refuse every other. Such an epoch is recorded when
// etcd is back (recordLater).
func (g *Group) record(ctx context.Context, gen registry.Generation) (epoch uint64, recorded bool, err error) {
	timeout := recordTimeout
	if g.away.Load() {
		timeout = recordAgain
	}
	wctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	gen.Epoch = g.last.epoch // never below one that workers have seen
	epoch, err = g.cfg.Placement.WriteGeneration(wctx, gen)
	next, unrecorded := registry.NextUnrecorded(g.last.epoch, err)
	g.away.Store(err != nil && unrecorded)
	if err == nil || ctx.Err() != nil || !unrecorded {
		return epoch, true, err
	}
	g.cfg.Logger.Warn("etcd is away: the epoch is recorded later", "epoch", next, "err", err)
	return next, false, nil
}

// recordLater writes an epoch's record once etcd is back. If etcd then knows of
// another leader or a later epoch, this epoch ends.
func (g *Group) recordLater(ctx context.Context, e *epoch, gen registry.Generation) {
	tick := time.NewTicker(recordRetry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		gen.Epoch = e.id - 1
		wctx, cancel := context.WithTimeout(ctx, recordTimeout)
		id, err := g.cfg.Placement.WriteGeneration(wctx, gen)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && id == e.id:
			g.away.Store(false)
			g.cfg.Logger.Info("epoch recorded", "epoch", e.id)
			return
		case err != nil && (registry.Away(err) || errors.Is(err, registry.ErrConflict) || errors.Is(err, registry.ErrNotLeader)):
			continue // a leadership that is lost for good ends the epoch by itself
		}
		g.cfg.Logger.Error("the epoch is not the one in etcd: it ends", "epoch", e.id, "recorded", id, "err", err)
		e.cancel()
		return
	}
}
