package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/shard/packcache"
	"github.com/sullae/sullae/worker/engine"
)

// packs keeps the units of the share in memory on disk, from a goroutine of its
// own beside the steps. The zero value keeps nothing.
type packs struct {
	cache *packcache.Cache // nil: none
	log   *slog.Logger

	cancel context.CancelFunc
	done   chan struct{}
}

// keep starts writing what the cache lacks of a share, which must not be freed
// before stop.
func (p *packs) keep(b kernels.Backend, m *engine.Model, checkpointID string) {
	st, ok := b.(kernels.Storer)
	if p.cache == nil || !ok {
		return
	}
	p.stop()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	p.cancel, p.done = cancel, done
	go func() {
		defer close(done)
		start := time.Now()
		n, err := m.Store(ctx, st, p.cache, checkpointID)
		switch {
		case errors.Is(err, packcache.ErrFull):
			p.log.Warn("pack cache too small for this share; a restart will pack the rest anew: raise --pack-cache-size", "bytes", n)
		case err != nil && ctx.Err() == nil:
			p.log.Warn("units not kept on disk", "err", err)
		case n > 0:
			p.log.Info("units kept on disk", "bytes", n, "seconds", time.Since(start).Seconds())
		}
	}()
}

// stop ends the writing after the unit at hand.
func (p *packs) stop() {
	if p.cancel == nil {
		return
	}
	p.cancel()
	<-p.done
	p.cancel = nil
}
