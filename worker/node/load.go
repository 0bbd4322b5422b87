package node

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/kernels"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/worker/engine"
	"github.com/sullae/sullae/worker/remote"
)

// WeightSource finds a checkpoint's weights: the worker's own folder where it
// holds this checkpoint, else the coordinator at addr.
type WeightSource func(ctx context.Context, checkpointID, addr string) (checkpoint.Source, func(), error)

// loaded is a share in memory.
type loaded struct {
	checkpointID string
	plan         plan.Plan
	rank         int
	quant        string // as PrepareRequest's
	model        *engine.Model
}

// load brings the share into memory and reports how far it is.
func (s *service) load(ctx context.Context, r *rank, stream clusterv1.WorkerService_PrepareServer) (*clusterv1.Ready, error) {
	req := r.req
	spec, err := model.Parse(req.ConfigJson, req.GenerationConfigJson, req.Model)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	p, err := planOf(spec, req)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if req.Rank < 0 || int(req.Rank) >= p.WorldSize() || req.Kv == nil || req.Kv.Blocks < 1 || req.Kv.BlockSize < 1 {
		return nil, status.Errorf(codes.InvalidArgument, "rank %d of %d, KV pool %v: malformed", req.Rank, p.WorldSize(), req.Kv)
	}
	kvType, err := kernels.ParseKVType(req.Kv.Type)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	positions := int64(req.Kv.Blocks) / int64(len(spec.KVGroups().Windows)) * int64(req.Kv.BlockSize)
	kvBytes := plan.KVBytesPerToken(spec, p, int(req.Rank), kvType) * positions
	reuse := s.reusable(req, p)
	format, err := kernels.ParseFormat(req.Quant)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	var from map[string]int64
	if reuse {
		if err := s.checkMemory(s.loaded.model.Bytes(), int(req.Rank), kvBytes); err != nil {
			return nil, err
		}
	} else if from, err = s.loadShare(ctx, r, stream, spec, p, format, kvBytes); err != nil {
		return nil, err
	}
	r.model, r.kvBytes = s.loaded.model, kvBytes
	return &clusterv1.Ready{WeightBytes: r.model.Bytes(), KvBytes: kvBytes, Backend: s.backend.Info().Name + "/" + s.backend.Info().Variant, Loaded: from}, nil
}

// loadShare makes a share out of what is in memory, on disk, in a folder, at peers
// and at the coordinator, asked in this order, and returns how many bytes came from
// where. The share before is kept for peers that load from it, where there is room.
func (s *service) loadShare(ctx context.Context, r *rank, stream clusterv1.WorkerService_PrepareServer, spec *model.Spec, p plan.Plan, format kernels.Format, kvBytes int64) (map[string]int64, error) {
	req, rank := r.req, int(r.req.Rank)
	src, closeSrc, err := s.weights(ctx, req.CheckpointId, req.WeightsAddress)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "worker %s: weights: %v", s.id, err)
	}
	defer closeSrc()
	need := plan.PackedBytes(spec, p, rank, checkpoint.Types(src), format)
	if err := s.checkMemory(need, rank, kvBytes); err != nil {
		return nil, err
	}
	cfg := engine.LoadConfig{Backend: s.backend.Backend, Spec: spec, Plan: p, Rank: rank, Source: src, Format: format,
		Cache: s.packs.cache, CheckpointID: req.CheckpointId}
	origin := "folder"
	if _, ok := src.(*remote.Source); ok {
		origin = "coordinator"
		peers, closePeers := s.findPeers(ctx, req, format)
		defer closePeers()
		if peers != nil {
			cfg.Peers = peers
		}
	}
	began := time.Now()
	report := s.reporter(r, stream)
	cfg.Progress = report.set
	old := s.takeLoaded(req.CheckpointId)
	if old != nil {
		cfg.Old, cfg.KeepOld = old.model, s.roomBeside(old.model, need+kvBytes, neighbours(req))
	}
	if !cfg.KeepOld {
		s.units.hold("")
	}
	m, err := engine.Load(ctx, cfg)
	report.stop()
	if err != nil {
		if cfg.KeepOld {
			s.mu.Lock()
			s.loaded = old
			s.mu.Unlock()
		}
		if ctx.Err() != nil {
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		code := codes.DataLoss
		if s.backend.lost() != nil { // the weights are well
			code = codes.Unavailable
		}
		return nil, status.Errorf(code, "worker %s: load rank %d: %v", s.id, rank, err)
	}
	s.metrics.load.Observe(time.Since(began).Seconds())
	from := map[string]int64{"cache": m.BytesCached(), "peer": m.BytesFromPeers(), origin: m.BytesRead()}
	for source, n := range from {
		s.metrics.loaded.WithLabelValues(source).Add(float64(n))
	}
	s.log.Info("share loaded", "epoch", req.Epoch, "rank", req.Rank, "bytes", m.Bytes(), "bytes_read", m.BytesRead(), "bytes_cached", m.BytesCached(),
		"bytes_from_peers", m.BytesFromPeers(), "seconds", time.Since(began).Seconds())
	s.mu.Lock()
	s.loaded = &loaded{req.CheckpointId, p, rank, req.Quant, m}
	if cfg.KeepOld {
		s.before = old.model
		s.units.hold(req.CheckpointId, m, old.model)
	} else {
		s.units.hold(req.CheckpointId, m)
	}
	s.mu.Unlock()
	s.packs.keep(s.backend.Backend, m, req.CheckpointId)
	return from, nil
}

// roomBeside reports whether so many bytes fit beside a share in memory, as far as
// is known, on a host that so many ranks share.
func (s *service) roomBeside(old *engine.Model, need int64, ranks int64) bool {
	if _, ok := s.backend.Backend.(kernels.Storer); !ok {
		return false // nobody can load from it
	}
	if s.memoryLimit > 0 {
		return old.Bytes()+need <= s.memoryLimit
	}
	return ranks*need <= s.backend.free()
}

// neighbours counts the ranks of an epoch on this rank's host.
func neighbours(req *clusterv1.PrepareRequest) (n int64) {
	host := func(r *clusterv1.Rank) string {
		h, _, err := net.SplitHostPort(r.Address)
		if err != nil {
			return r.Address
		}
		return h
	}
	for _, r := range req.Ranks {
		if host(r) == host(req.Ranks[req.Rank]) {
			n++
		}
	}
	return n
}

// forget frees the share before the one in memory, once all ranks have loaded. s.mu
// is held.
func (s *service) forget() {
	if s.before != nil {
		s.units.hold(s.loaded.checkpointID, s.loaded.model)
		s.before.Free()
		s.before = nil
	}
}

// reusable reports whether the share in memory is the one asked for.
func (s *service) reusable(req *clusterv1.PrepareRequest, p plan.Plan) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.loaded
	if l == nil || l.checkpointID != req.CheckpointId || l.rank != int(req.Rank) || l.quant != req.Quant || l.plan.WorldSize() != p.WorldSize() {
		return false
	}
	for i := range p.Shares {
		if p.Shares[i] != l.plan.Shares[i] {
			return false
		}
	}
	return l.plan.Units == p.Units
}

// takeLoaded hands over the share in memory, if it is of this checkpoint; else
// it is freed.
func (s *service) takeLoaded(checkpointID string) *loaded {
	s.packs.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	l := s.loaded
	s.loaded = nil
	if l != nil && l.checkpointID != checkpointID {
		s.units.hold("")
		l.model.Free()
		return nil
	}
	return l
}

// checkMemory refuses a share that does not fit, before anything is read.
func (s *service) checkMemory(weights int64, rank int, kvBytes int64) error {
	need, have := weights+kvBytes, s.memoryLimit
	if have == 0 {
		if have = s.backend.free(); have == 0 {
			return nil // not known on this system
		}
		s.mu.Lock()
		if s.loaded != nil { // given back before, or used again
			have += s.loaded.model.Bytes()
		}
		s.mu.Unlock()
	}
	if need > have {
		return status.Errorf(codes.ResourceExhausted, "worker %s: rank %d needs %d MB (weights %d MB, KV %d MB) and may take %d MB: add workers, or lower --kv-tokens", s.id, rank, need>>20, weights>>20, kvBytes>>20, have>>20)
	}
	return nil
}

// planOf rebuilds the plan from the request and checks it.
func planOf(spec *model.Spec, req *clusterv1.PrepareRequest) (plan.Plan, error) {
	p := plan.Plan{Units: plan.UnitsOf(spec)}
	for i, r := range req.Ranks {
		if r.Share == nil {
			return p, fmt.Errorf("rank %d has no share", i)
		}
		p.Shares = append(p.Shares, shareOf(r.Share))
	}
	return p, p.Validate()
}
