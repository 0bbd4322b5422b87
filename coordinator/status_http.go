package coordinator

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator/gateway/openai"
	"github.com/sullae/sullae/coordinator/group"
	"github.com/sullae/sullae/coordinator/status"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/plan"
)

// serveStatus answers GET /cluster/status.
func (c *coordinator) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.Encode(c.status())
}

// serveDrain answers POST and DELETE /cluster/workers/{id}/drain: the worker is
// to leave the group, or may join again. The mark goes into the record of the next
// epoch, where the next leader finds it.
func (c *coordinator) serveDrain(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	out := r.Method == http.MethodPost
	known := false
	if all := c.known.Load(); all != nil {
		for _, x := range *all {
			known = known || x.ID == id
		}
	}
	if !known && out {
		openai.NotFound(w, "worker_not_found", "no worker "+id+" is registered")
		return
	}
	c.groups.Drain(id, out)
	w.WriteHeader(http.StatusNoContent)
}

// watchWorkers keeps the latest list of registered workers, so that the status
// never waits for etcd.
func (c *coordinator) watchWorkers(ctx context.Context) error {
	for list := range c.reg.WatchWorkers(ctx) {
		c.known.Store(&list)
	}
	return nil
}

// status gathers what is known.
func (c *coordinator) status() status.Cluster {
	out := status.Cluster{
		Version: c.cfg.Version, Cluster: c.cfg.Etcd.Cluster, Coordinator: c.cfg.ID, OpsAddress: c.opsAddr, NodeCertificateExpires: c.certificateExpires(),
		Model: status.Model{Name: c.model.Name, Architecture: c.model.Architecture, CheckpointID: c.ckpt.ID(), MaxModelLen: c.model.MaxLen},
	}
	out.Events = c.events.list()
	if c.svc != nil {
		out.Traffic = status.Traffic(c.svc.Traffic())
	}
	progress := c.progress.snapshot()
	seen := map[string]bool{}
	for i, g := range c.groups.Groups() {
		st, load := g.State(), g.Load()
		one := status.Group{Name: g.Name(), Phase: st.Phase, Reason: st.Reason, Epoch: st.Epoch, Step: st.Step, WorldSize: st.Plan.WorldSize(), WorkersWanted: c.workersWanted(),
			Running: load.Running, Waiting: load.Waiting, KVBlocksFree: load.BlocksFree, KVBlocksTotal: load.BlocksTotal, KVType: c.cfg.KVType.String()}
		if st.KVTokens == 0 { // no epoch has had a pool yet
			one.KVBlocksFree, one.KVBlocksTotal = 0, 0
		}
		out.Groups = append(out.Groups, one)
		if all := &out.Group; i == 0 {
			*all = one
			all.Name = ""
		} else {
			all.Join(one)
		}
		for rank, w := range st.Members {
			if seen[w.ID] { // another group has it by now
				continue
			}
			seen[w.ID] = true
			out.Workers = append(out.Workers, c.rank(g.Name(), st, rank, w, progress[w.ID]))
		}
	}
	if all := c.known.Load(); all != nil {
		for _, w := range *all {
			if !seen[w.ID] {
				out.Workers = append(out.Workers, c.worker(w))
			}
		}
	}
	return out
}

// certificateExpires is when this node's own certificate does, "" where it has
// none.
func (c *coordinator) certificateExpires() string {
	if c.cfg.NodeTLS == nil {
		return ""
	}
	return c.cfg.NodeTLS.NotAfter().UTC().Format(time.RFC3339)
}

// rank is a worker that is a rank of a group.
func (c *coordinator) rank(name string, st group.State, rank int, w registry.Worker, loading group.Progress) status.Worker {
	x := c.worker(w)
	s := st.Plan.Shares[rank]
	u := st.Plan.Units
	heads, ffn, vocab := s.Heads, u.FFNRange(s), u.VocabRange(s)
	x.Group, x.Rank = name, rank
	x.Heads, x.FFN, x.Vocab = [2]int{heads.Lo, heads.Hi}, [2]int{ffn.Lo, ffn.Hi}, [2]int{vocab.Lo, vocab.Hi}
	x.WeightBytes = plan.PackedBytes(c.ckpt.Spec(), st.Plan, rank, checkpoint.Types(c.ckpt), c.cfg.Quant)
	x.KVBytes = plan.KVBytesPerToken(c.ckpt.Spec(), st.Plan, rank, c.cfg.KVType) * int64(st.KVTokens)
	x.LoadedBytes, x.LoadedFrom = loading.Done, loading.Loaded
	if rank < len(st.Timing) {
		x.ComputeMs, x.WaitMs = 1e3*st.Timing[rank].Compute, 1e3*st.Timing[rank].Wait
		x.BlockedMs, x.BytesSent = 1e3*st.Timing[rank].Blocked, st.Timing[rank].BytesSent
		x.Straggler, x.Pace = rank == st.Straggler(), st.Timing[rank].Pace
	}
	return x
}

// workersWanted is how many ranks the group should have: where no number is
// given, all workers that are registered.
func (c *coordinator) workersWanted() int {
	if all := c.known.Load(); c.cfg.Workers == 0 && all != nil {
		return max(c.cfg.MinWorkers, min(len(*all), c.ckpt.Spec().Heads))
	}
	return max(c.cfg.MinWorkers, c.cfg.Workers)
}

func (c *coordinator) worker(w registry.Worker) status.Worker {
	x := status.Worker{ID: w.ID, Address: w.Address, OpsAddress: w.OpsAddress, Version: w.Version, Backend: w.Backend + "/" + w.Variant,
		Threads: w.Threads, Host: w.Hostname, PID: w.PID, Health: "alive", Rank: -1}
	if c.view.Dead(w.ID) {
		x.Health = "dead"
	}
	_, x.Refused = c.refused(w)
	x.Drained = slices.Contains(c.groups.Groups()[0].Drained(), w.ID) // of all groups alike
	return x
}

// progress remembers how far each worker has loaded.
type progress struct {
	mu   sync.Mutex
	last map[string]group.Progress
}

func (p *progress) set(x group.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = map[string]group.Progress{}
	}
	p.last[x.Worker] = x
}

func (p *progress) snapshot() map[string]group.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.last)
}
