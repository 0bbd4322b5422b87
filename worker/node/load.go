package node

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/kernels"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/worker/engine"
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
	if reuse {
		if err := s.checkMemory(s.loaded.model.Bytes(), int(req.Rank), kvBytes); err != nil {
			return nil, err
		}
	} else {
		src, closeSrc, err := s.weights(ctx, req.CheckpointId, req.WeightsAddress)
		if err != nil {
			return nil, status.Errorf(codes.Unavailable, "worker %s: weights: %v", s.id, err)
		}
		defer closeSrc()
		if err := s.checkMemory(plan.PackedBytes(spec, p, int(req.Rank), checkpoint.Types(src), format), int(req.Rank), kvBytes); err != nil {
			return nil, err
		}
		began := time.Now()
		report := s.reporter(r, stream)
		m, err := engine.Load(ctx, engine.LoadConfig{Backend: s.backend.Backend, Spec: spec, Plan: p, Rank: int(req.Rank), Source: src, Format: format,
			Old: s.takeLoaded(req.CheckpointId), Cache: s.packs.cache, CheckpointID: req.CheckpointId, Progress: report.set})
		report.stop()
		if err != nil {
			if ctx.Err() != nil {
				return nil, status.FromContextError(ctx.Err()).Err()
			}
			return nil, status.Errorf(codes.DataLoss, "worker %s: load rank %d: %v", s.id, req.Rank, err)
		}
		s.metrics.load.Observe(time.Since(began).Seconds())
		s.metrics.bytesRead.Add(float64(m.BytesRead()))
		s.log.Info("share loaded", "epoch", req.Epoch, "rank", req.Rank, "bytes", m.Bytes(), "bytes_read", m.BytesRead(), "bytes_cached", m.BytesCached())
		s.mu.Lock()
		s.loaded = &loaded{req.CheckpointId, p, int(req.Rank), req.Quant, m}
		s.mu.Unlock()
		s.packs.keep(s.backend.Backend, m, req.CheckpointId)
	}
	r.model, r.kvBytes = s.loaded.model, kvBytes
	return &clusterv1.Ready{WeightBytes: r.model.Bytes(), KvBytes: kvBytes, Backend: s.backend.Info().Name + "/" + s.backend.Info().Variant}, nil
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
func (s *service) takeLoaded(checkpointID string) *engine.Model {
	s.packs.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.loaded
	s.loaded = nil
	if l == nil {
		return nil
	}
	if l.checkpointID != checkpointID {
		l.model.Free()
		return nil
	}
	return l.model
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
