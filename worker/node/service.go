package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective/nodetls"
	"github.com/sullae/sullae/collective/registry"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/worker/engine"
)

// ProtocolVersion is the version of proto/sullae/cluster/v1 that this build
// speaks. Coordinator and workers must have the same.
const ProtocolVersion = registry.ProtocolVersion

// service implements clusterv1.WorkerServiceServer: one rank at a time.
type service struct {
	clusterv1.UnimplementedWorkerServiceServer
	id, version string
	backend     *device
	lost        chan error // why the device is lost
	fence       Fence
	links       Linker
	weights     WeightSource
	memoryLimit int64 // bytes that a rank may take; 0: what is free
	log         *slog.Logger
	packs       packs // used by the one Prepare at a time
	units       *units
	security    *nodetls.Source // of connections to other workers

	mu  sync.Mutex
	cur *rank // the rank that this worker is, or is becoming
	// loaded stays when an epoch ends, so that the next one with the same share
	// does not load again.
	loaded *loaded
	before *engine.Model       // the share before loaded, while others may load from it; nil: none
	last   registry.Membership // the epoch that was prepared last
	// idle is since when it has had no rank, zero before it is registered; leaving
	// that it has been asked to end.
	idle    time.Time
	leaving bool
	metrics *metrics
	tracer  trace.Tracer // nil: no traces are made
}

// rank is this worker's part in one epoch.
type rank struct {
	req      *clusterv1.PrepareRequest
	cancel   context.CancelFunc // ends Prepare or Run
	done     chan struct{}      // closed when nothing of it runs any more
	model    *engine.Model
	state    string // "loading", "ready", "running"
	progress clusterv1.LoadProgress
	lastStep uint64
	stepped  time.Time // when that ended
	kvBytes  int64
}

// workers are the ranks' worker ids.
func (r *rank) workers() (ids []string) {
	for _, p := range r.req.Ranks {
		ids = append(ids, p.WorkerId)
	}
	return ids
}

// addresses are where the ranks are dialled.
func (r *rank) addresses() (addrs []string) {
	for _, p := range r.req.Ranks {
		addrs = append(addrs, p.Address)
	}
	return addrs
}

// Prepare implements WorkerService.
func (s *service) Prepare(req *clusterv1.PrepareRequest, stream clusterv1.WorkerService_PrepareServer) error {
	if req.ProtocolVersion != ProtocolVersion {
		return status.Errorf(codes.FailedPrecondition, "worker %s (version %s) speaks cluster protocol %d, the coordinator %d: run the same version everywhere", s.id, s.version, ProtocolVersion, req.ProtocolVersion)
	}
	if err := s.checkFence(stream.Context(), req); err != nil {
		return err
	}
	ctx, r, err := s.take(stream.Context(), req)
	if err != nil {
		return err
	}
	ready, err := s.load(ctx, r, stream)
	if err != nil {
		defer s.checkDevice()
		s.release(r)
		s.log.Warn("prepare failed", "epoch", req.Epoch, "rank", req.Rank, "err", status.Convert(err).Message())
		return err
	}
	s.mu.Lock()
	r.state = "ready"
	r.cancel() // of the loading; Run brings its own
	close(r.done)
	s.mu.Unlock()
	s.log.Info("ready", "epoch", req.Epoch, "rank", req.Rank, "weight_bytes", ready.WeightBytes, "kv_bytes", ready.KvBytes)
	return stream.Send(&clusterv1.PrepareResponse{Event: &clusterv1.PrepareResponse_Ready{Ready: ready}})
}

// take makes req the worker's current rank and ends what was before it.
func (s *service) take(ctx context.Context, req *clusterv1.PrepareRequest) (context.Context, *rank, error) {
	for {
		s.mu.Lock()
		old := s.cur
		if old == nil {
			ctx, cancel := context.WithCancel(ctx)
			s.cur = &rank{req: req, cancel: cancel, done: make(chan struct{}), state: "loading"}
			defer s.mu.Unlock()
			return ctx, s.cur, nil
		}
		end, ended := old.cancel, old.done
		s.mu.Unlock()
		if old.req.Group == req.Group && old.req.Epoch >= req.Epoch {
			return nil, nil, status.Errorf(codes.FailedPrecondition, "worker %s is in epoch %d already, not before %d", s.id, old.req.Epoch, req.Epoch)
		}
		end()
		select {
		case <-ended:
			s.release(old)
		case <-ctx.Done():
			return nil, nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// release forgets r, if it is still current.
func (s *service) release(r *rank) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur == r {
		s.cur, s.idle = nil, time.Now()
	}
	r.cancel()
	select {
	case <-r.done:
	default:
		close(r.done)
	}
}

// GetStatus implements WorkerService.
func (s *service) GetStatus(context.Context, *clusterv1.GetStatusRequest) (*clusterv1.GetStatusResponse, error) {
	info := s.backend.Info()
	res := &clusterv1.GetStatusResponse{WorkerId: s.id, Version: s.version, Backend: info.Name + "/" + info.Variant, State: "idle",
		MemoryLimitBytes: s.memoryLimit, MemoryFreeBytes: s.backend.free(), MemoryHeldBytes: s.backend.held()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.cur; r != nil {
		res.State, res.Group, res.Epoch = r.state, r.req.Group, r.req.Epoch
		res.Rank, res.WorldSize = r.req.Rank, int32(len(r.req.Ranks))
		res.LastStep, res.KvBytes = r.lastStep, r.kvBytes
		res.Loading = &clusterv1.LoadProgress{Stage: r.progress.Stage, BytesDone: r.progress.BytesDone, BytesTotal: r.progress.BytesTotal}
	}
	if s.loaded != nil {
		res.WeightBytes = s.loaded.model.Bytes()
	}
	return res, nil
}

// running is closed when the rank that runs steps now has ended; nil: none does.
func (s *service) running() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur == nil || s.cur.state != "running" {
		return nil
	}
	return s.cur.done
}

// stop ends what runs and frees the weights.
func (s *service) stop() {
	s.mu.Lock()
	end, ended := func() {}, make(chan struct{})
	if s.cur != nil {
		end, ended = s.cur.cancel, s.cur.done
	} else {
		close(ended)
	}
	s.mu.Unlock()
	end()
	<-ended
	s.takeLoaded("")
}
