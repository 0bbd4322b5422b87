package node

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/kernels"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/worker/engine"
)

// ProtocolVersion is the version of proto/sullae/cluster/v1 that this build
// speaks. Coordinator and workers must have the same.
const ProtocolVersion = 1

// joinTimeout is how long a rank waits for its peers to link up. All ranks have
// loaded by then, so it covers a round of dialling only.
const joinTimeout = 20 * time.Second

// Fence reads the generation record of a group: what is written in etcd before
// any worker is asked to do anything. A worker prepares for no other epoch.
type Fence interface {
	ReadGeneration(ctx context.Context, group string) (registry.Generation, error)
}

// Linker forms the links of an epoch (collective/link/grpc's Hub).
type Linker interface {
	Join(ctx context.Context, f Formation) (collective.Communicator, error)
}

// Formation is one rank's view of an epoch that forms.
type Formation struct {
	Group   string
	Epoch   uint64
	Rank    int
	Peers   []string // address of every rank
	Token   []byte
	Timeout time.Duration // longest silence within a collective
}

// WeightSource finds a checkpoint's weights: the worker's own folder where it
// holds this checkpoint, else the coordinator at addr.
type WeightSource func(ctx context.Context, checkpointID, addr string) (checkpoint.Source, func(), error)

// service implements clusterv1.WorkerServiceServer: one rank at a time.
type service struct {
	clusterv1.UnimplementedWorkerServiceServer
	id, version string
	backend     kernels.Backend
	fence       Fence
	links       Linker
	weights     WeightSource
	memoryLimit int64 // bytes that a rank may take; 0: what is free
	log         *slog.Logger

	mu  sync.Mutex
	cur *rank // the rank that this worker is, or is becoming
	// loaded stays when an epoch ends, so that the next one with the same share
	// does not load again.
	loaded *loaded
	last   membership // the epoch that was prepared last
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
	kvBytes  int64
}

// loaded is a share in memory.
type loaded struct {
	checkpointID string
	plan         plan.Plan
	rank         int
	quant        string // as PrepareRequest's
	model        *engine.Model
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
		s.release(r)
		s.log.Warn("prepare failed", "epoch", req.Epoch, "rank", req.Rank, "err", err)
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

// fenceTimeout is how long a worker asks etcd before it takes it for away.
const fenceTimeout = 2 * time.Second

// checkFence refuses an epoch that is not the one written in etcd. While etcd is
// away a worker goes on with the coordinator that it works for, and with no
// other: that one alone knows the token of the epoch that the worker was in.
// Another coordinator, elected where this worker can't see it, has none of its
// workers until it can see etcd again; so no two ever drive the same worker.
func (s *service) checkFence(ctx context.Context, req *clusterv1.PrepareRequest) error {
	fctx, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	gen, err := s.fence.ReadGeneration(fctx, req.Group)
	switch {
	case err == nil:
		err = gen.Admits(req.Epoch, int(req.Rank), s.id, req.Token)
	case registry.Away(err):
		if err = s.admitUnseen(req); err == nil {
			s.log.Warn("etcd is away: going on with the same coordinator", "epoch", req.Epoch)
		}
	default:
		return status.Errorf(codes.Unavailable, "worker %s: %v", s.id, err)
	}
	if err != nil {
		return status.Errorf(codes.FailedPrecondition, "worker %s: %v", s.id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = membership{req.Group, req.Epoch, req.Token}
	return nil
}

// membership is an epoch that this worker was admitted to.
type membership struct {
	group string
	epoch uint64
	token []byte
}

// admitUnseen decides without etcd.
func (s *service) admitUnseen(req *clusterv1.PrepareRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.group != req.Group || req.Epoch <= s.last.epoch || len(s.last.token) == 0 ||
		subtle.ConstantTimeCompare(s.last.token, req.PreviousToken) != 1 {
		return fmt.Errorf("etcd is away, and epoch %d of group %s does not follow one that this worker was in", req.Epoch, req.Group)
	}
	return nil
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
		s.cur = nil
	}
	r.cancel()
	select {
	case <-r.done:
	default:
		close(r.done)
	}
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
	kvBytes := plan.KVBytesPerToken(spec, p, int(req.Rank)) * int64(req.Kv.Blocks) * int64(req.Kv.BlockSize)
	reuse := s.reusable(req, p)
	format, err := kernels.ParseFormat(req.Quant)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.checkMemory(plan.PackedBytes(spec, p, int(req.Rank), format), int(req.Rank), kvBytes); err != nil {
		return nil, err
	}
	if !reuse {
		src, closeSrc, err := s.weights(ctx, req.CheckpointId, req.WeightsAddress)
		if err != nil {
			return nil, status.Errorf(codes.Unavailable, "worker %s: weights: %v", s.id, err)
		}
		defer closeSrc()
		report := s.reporter(r, stream)
		m, err := engine.Load(ctx, engine.LoadConfig{Backend: s.backend, Spec: spec, Plan: p, Rank: int(req.Rank), Source: src, Format: format,
			Old: s.takeLoaded(req.CheckpointId), Progress: report.set})
		report.stop()
		if err != nil {
			if ctx.Err() != nil {
				return nil, status.FromContextError(ctx.Err()).Err()
			}
			return nil, status.Errorf(codes.DataLoss, "worker %s: load rank %d: %v", s.id, req.Rank, err)
		}
		s.log.Info("share loaded", "epoch", req.Epoch, "rank", req.Rank, "bytes", m.Bytes(), "bytes_read", m.BytesRead())
		s.mu.Lock()
		s.loaded = &loaded{req.CheckpointId, p, int(req.Rank), req.Quant, m}
		s.mu.Unlock()
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
		if have = freeMemory(); have == 0 {
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

// Run implements WorkerService.
func (s *service) Run(stream clusterv1.WorkerService_RunServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	open := first.GetOpen()
	if open == nil {
		return status.Error(codes.InvalidArgument, "the first message of Run must be Open")
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	r, err := s.start(open, cancel)
	if err != nil {
		return err
	}
	defer s.release(r)
	log := s.log.With("epoch", r.req.Epoch, "rank", r.req.Rank)

	e, comm, err := s.form(ctx, r)
	if err != nil {
		return status.Errorf(codes.Unavailable, "worker %s: form epoch %d: %v", s.id, r.req.Epoch, err)
	}
	defer e.Close()
	defer comm.Close()
	if err := stream.Send(&clusterv1.RunResponse{Message: &clusterv1.RunResponse_Result{Result: &clusterv1.StepResult{}}}); err != nil {
		return err
	}
	log.Info("epoch formed")
	orders := receive(ctx, stream)
	for {
		var m *clusterv1.RunRequest
		select {
		case o := <-orders:
			if o.err == io.EOF {
				return nil
			}
			if o.err != nil {
				log.Info("epoch ended", "err", o.err)
				return o.err
			}
			m = o.msg
		case <-broken(comm):
			return s.fail(stream, comm, log, 0, brokenBy(comm))
		case <-ctx.Done():
			return status.Errorf(codes.Unavailable, "worker %s leaves epoch %d", s.id, r.req.Epoch)
		}
		res, err := e.Step(ctx, stepOf(m.GetStep()))
		if err != nil {
			return s.fail(stream, comm, log, m.GetStep().GetStep(), err)
		}
		s.mu.Lock()
		r.lastStep = res.Step
		s.mu.Unlock()
		if err := stream.Send(&clusterv1.RunResponse{Message: &clusterv1.RunResponse_Result{Result: resultOf(res, r.req.Rank == 0)}}); err != nil {
			return err
		}
	}
}

// fail ends the epoch because of err. Closing the links first makes every peer
// fail at once instead of waiting.
func (s *service) fail(stream clusterv1.WorkerService_RunServer, comm collective.Communicator, log *slog.Logger, step uint64, err error) error {
	log.Warn("epoch failed", "err", err)
	comm.Close()
	return stream.Send(&clusterv1.RunResponse{Message: &clusterv1.RunResponse_Error{Error: runError(step, err)}})
}

// order is what came over a Run stream.
type order struct {
	msg *clusterv1.RunRequest
	err error
}

// receive reads a stream until it ends, so that its handler can wait for other
// things too. The goroutine ends with the handler, which ends the stream.
func receive(ctx context.Context, stream clusterv1.WorkerService_RunServer) <-chan order {
	out := make(chan order)
	go func() {
		for {
			m, err := stream.Recv()
			select {
			case out <- order{m, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}

// watched is a communicator that notices a broken link between collectives too.
type watched interface {
	Done() <-chan struct{}
	Err() error
}

func broken(c collective.Communicator) <-chan struct{} {
	if w, ok := c.(watched); ok {
		return w.Done()
	}
	return nil
}

func brokenBy(c collective.Communicator) error { return c.(watched).Err() }

// start moves the prepared rank to running.
func (s *service) start(open *clusterv1.Open, cancel context.CancelFunc) (*rank, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.cur
	if r == nil || r.req.Group != open.Group || r.req.Epoch != open.Epoch || r.state != "ready" {
		return nil, status.Errorf(codes.FailedPrecondition, "worker %s is not prepared for epoch %d of group %s", s.id, open.Epoch, open.Group)
	}
	r.state, r.cancel, r.done = "running", cancel, make(chan struct{})
	return r, nil
}

// form links the ranks up and allocates the KV pool.
func (s *service) form(ctx context.Context, r *rank) (*engine.Engine, collective.Communicator, error) {
	f := Formation{Group: r.req.Group, Epoch: r.req.Epoch, Rank: int(r.req.Rank), Token: r.req.Token,
		Timeout: time.Duration(r.req.CollectiveTimeoutMs) * time.Millisecond}
	for _, p := range r.req.Ranks {
		f.Peers = append(f.Peers, p.Address)
	}
	jctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	comm, err := s.links.Join(jctx, f)
	if err != nil {
		return nil, nil, err
	}
	e, err := engine.New(engine.Config{Model: r.model, Backend: s.backend, Comm: comm, Epoch: r.req.Epoch,
		Blocks: int(r.req.Kv.Blocks), BlockSize: int(r.req.Kv.BlockSize)})
	if err != nil {
		comm.Close()
		return nil, nil, err
	}
	return e, comm, nil
}

// GetStatus implements WorkerService.
func (s *service) GetStatus(context.Context, *clusterv1.GetStatusRequest) (*clusterv1.GetStatusResponse, error) {
	info := s.backend.Info()
	res := &clusterv1.GetStatusResponse{WorkerId: s.id, Version: s.version, Backend: info.Name + "/" + info.Variant, State: "idle"}
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
	if m := s.takeLoaded(""); m != nil {
		m.Free()
	}
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

// runError names what ended an epoch, for the coordinator to act on.
func runError(step uint64, err error) *clusterv1.RunError {
	kind := clusterv1.RunError_KIND_BACKEND
	switch {
	case errors.Is(err, collective.ErrPeerLost), errors.Is(err, collective.ErrClosed), errors.Is(err, context.Canceled):
		kind = clusterv1.RunError_KIND_PEER_LOST
	case errors.Is(err, collective.ErrTimeout):
		kind = clusterv1.RunError_KIND_TIMEOUT
	case errors.Is(err, collective.ErrMismatch):
		kind = clusterv1.RunError_KIND_MISMATCH
	case errors.Is(err, engine.ErrPlan):
		kind = clusterv1.RunError_KIND_PLAN
	}
	e := &clusterv1.RunError{Kind: kind, Step: step, Message: err.Error()}
	if se := (*engine.SequenceError)(nil); errors.As(err, &se) {
		e.Sequence = se.ID
	}
	return e
}
