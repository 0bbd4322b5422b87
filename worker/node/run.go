package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/kernels"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/worker/engine"
)

// joinTimeout is how long a rank waits for its peers to link up. All ranks have
// loaded by then, so it covers a round of dialling only.
const joinTimeout = 20 * time.Second

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

	e, comm, meter, err := s.form(ctx, r)
	if err != nil {
		defer s.checkDevice()
	}
	if err != nil && collective.UnreachableRank(err) >= 0 {
		log.Warn("epoch not formed", "err", err)
		return stream.Send(&clusterv1.RunResponse{Message: &clusterv1.RunResponse_Error{Error: r.runError(0, err)}})
	}
	if err != nil {
		return status.Errorf(codes.Unavailable, "worker %s: form epoch %d: %v", s.id, r.req.Epoch, err)
	}
	defer e.Close()
	defer comm.Close()
	if err := stream.Send(&clusterv1.RunResponse{Message: &clusterv1.RunResponse_Result{Result: &clusterv1.StepResult{}}}); err != nil {
		return err
	}
	log.Info("epoch formed")
	if w, ok := comm.(waiter); ok {
		var watching sync.WaitGroup
		defer watching.Wait()
		wctx, stop := context.WithCancel(ctx)
		defer stop()
		watching.Go(func() { watchReach(wctx, w, int(r.req.Rank), r.addresses()) })
	}
	orders, masks := receive(ctx, stream)
	ended := time.Now()
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
			return s.fail(stream, r, comm, log, 0, brokenBy(comm))
		case <-ctx.Done():
			return status.Errorf(codes.Unavailable, "worker %s leaves epoch %d", s.id, r.req.Epoch)
		}
		idle := time.Since(ended)
		began := time.Now()
		step := stepOf(m.GetStep())
		step.Masks = func(ctx context.Context) ([]engine.Masks, error) { return await(ctx, masks, step.ID, comm) }
		res, err := e.Step(ctx, step)
		if err != nil {
			defer s.checkDevice() // once the coordinator has been told
			return s.fail(stream, r, comm, log, m.GetStep().GetStep(), err)
		}
		ended = time.Now()
		spent := meter.stepped(res)
		s.traceStep(m.GetStep().GetTraces(), r, began, res, spent)
		s.mu.Lock()
		r.lastStep, r.stepped = res.Step, time.Now()
		s.mu.Unlock()
		if err := stream.Send(&clusterv1.RunResponse{Message: &clusterv1.RunResponse_Result{Result: resultOf(res, spent, idle, r.req.Rank == 0)}}); err != nil {
			return err
		}
	}
}

// checkDevice has the worker end if an error came of its device's being lost: nothing is
// left of what was on it.
func (s *service) checkDevice() {
	if lost := s.backend.lost(); lost != nil {
		select {
		case s.lost <- lost:
		default: // it is known already
		}
	}
}

// fail ends the epoch because of err. Closing the links first makes every peer
// fail at once instead of waiting.
func (s *service) fail(stream clusterv1.WorkerService_RunServer, r *rank, comm collective.Communicator, log *slog.Logger, step uint64, err error) error {
	comm.Close()
	sent := stream.Send(&clusterv1.RunResponse{Message: &clusterv1.RunResponse_Error{Error: r.runError(step, err)}})
	if sent != nil || stream.Context().Err() != nil { // a step that was under way is no failure then
		log.Info("epoch left", "because", "the coordinator ended it")
		return sent
	}
	log.Warn("epoch failed", "err", err)
	return nil
}

// order is what came over a Run stream.
type order struct {
	msg *clusterv1.RunRequest
	err error
}

// receive reads a stream until it ends, so that its handler can wait for other
// things too; masks come apart, in the course of a step. The goroutine ends with the
// handler, which ends the stream.
func receive(ctx context.Context, stream clusterv1.WorkerService_RunServer) (<-chan order, <-chan *clusterv1.StepMasks) {
	orders, masks := make(chan order), make(chan *clusterv1.StepMasks)
	go func() {
		for {
			m, err := stream.Recv()
			if sets := m.GetMasks(); sets != nil {
				select {
				case masks <- sets:
				case <-ctx.Done():
					return
				}
				continue
			}
			if err != nil {
				close(masks) // a step may be waiting for its own
			}
			select {
			case orders <- order{m, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return orders, masks
}

// await waits for a step's masks.
func await(ctx context.Context, masks <-chan *clusterv1.StepMasks, step uint64, comm collective.Communicator) ([]engine.Masks, error) {
	select {
	case m, ok := <-masks:
		if !ok {
			return nil, errors.New("the coordinator has ended the epoch")
		}
		if m.GetStep() != step {
			return nil, fmt.Errorf("%w: masks of step %d", engine.ErrPlan, m.GetStep())
		}
		return masksOf(m), nil
	case <-broken(comm):
		return nil, brokenBy(comm)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
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
	s.forget() // all ranks have loaded
	r.state, r.cancel, r.done = "running", cancel, make(chan struct{})
	return r, nil
}

// form links the ranks up and allocates the KV pool.
func (s *service) form(ctx context.Context, r *rank) (*engine.Engine, collective.Communicator, *meter, error) {
	f := Formation{Group: r.req.Group, Epoch: r.req.Epoch, Rank: int(r.req.Rank), Peers: r.addresses(), Token: r.req.Token,
		Timeout: time.Duration(r.req.CollectiveTimeoutMs) * time.Millisecond}
	jctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	comm, err := s.join(jctx, f)
	if err != nil {
		return nil, nil, nil, err
	}
	kvType, err := kernels.ParseKVType(r.req.Kv.Type)
	if err != nil {
		comm.Close()
		return nil, nil, nil, err
	}
	meter := s.metrics.newMeter(comm, r.workers())
	e, err := engine.New(engine.Config{Model: r.model, Backend: s.backend.Backend, Comm: meter, Epoch: r.req.Epoch,
		Blocks: int(r.req.Kv.Blocks), BlockSize: int(r.req.Kv.BlockSize), KVType: kvType})
	if err != nil {
		comm.Close()
		return nil, nil, nil, err
	}
	return e, comm, meter, nil
}

// runError names what ended an epoch, for the coordinator to act on.
func (r *rank) runError(step uint64, err error) *clusterv1.RunError {
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
	if p := collective.UnreachableRank(err); p >= 0 {
		e.Unreachable = r.req.Ranks[p].WorkerId
	}
	if se := (*engine.SequenceError)(nil); errors.As(err, &se) {
		e.Sequence = se.ID
	}
	return e
}
