package node

import (
	"sync"
	"sync/atomic"
	"time"

	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
)

// progressEvery is how often loading is reported.
const progressEvery = 100 * time.Millisecond

// reporter sends loading progress from a goroutine of its own, so that loading
// never waits for the network.
type reporter struct {
	done, total atomic.Int64
	quit        chan struct{}
	wg          sync.WaitGroup
}

func (s *service) reporter(r *rank, stream clusterv1.WorkerService_PrepareServer) *reporter {
	p := &reporter{quit: make(chan struct{})}
	p.wg.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for last := false; !last; {
			select {
			case <-tick.C:
			case <-p.quit:
				last = true
			}
			m := &clusterv1.LoadProgress{Stage: "weights", BytesDone: p.done.Load(), BytesTotal: p.total.Load()}
			s.mu.Lock()
			r.progress.Stage, r.progress.BytesDone, r.progress.BytesTotal = m.Stage, m.BytesDone, m.BytesTotal
			s.mu.Unlock()
			if stream.Send(&clusterv1.PrepareResponse{Event: &clusterv1.PrepareResponse_Progress{Progress: m}}) != nil {
				return // the stream's context ends the loading
			}
		}
	})
	return p
}

// set is called from the loading goroutines; a late smaller value is harmless.
func (p *reporter) set(done, total int64) {
	p.done.Store(done)
	p.total.Store(total)
}

// stop sends the last state and waits for the goroutine.
func (p *reporter) stop() {
	close(p.quit)
	p.wg.Wait()
}
