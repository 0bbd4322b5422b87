package group

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/kernels"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/plan"
)

// ProtocolVersion is the version of proto/sullae/cluster/v1 that this build speaks.
const ProtocolVersion = registry.ProtocolVersion

// formTimeout bounds the linking up of ranks that have all loaded.
const formTimeout = 30 * time.Second

// epoch is one formation of the group.
type epoch struct {
	id      uint64
	members []registry.Worker
	plan    plan.Plan
	blocks  int // of the KV pool
	holders []string
	conns   []*grpc.ClientConn
	runs    []clusterv1.WorkerService_RunClient
	results chan rankResult // from the receivers
	cancel  context.CancelFunc
	over    <-chan struct{} // closed by cancel
	wg      sync.WaitGroup  // receivers
	step    uint64
	// Of the step loop, by rank: where its time goes, and the last step answered.
	timing   []Timing
	answered []uint64
}

// rankResult is what a rank answered.
type rankResult struct {
	rank int
	msg  *clusterv1.RunResponse
	err  error
}

// form makes the workers an epoch: plan, generation record, loading, links.
// all are the workers that are registered, holders the addresses of those beside
// that may have units.
func (g *Group) form(ctx context.Context, workers, all []registry.Worker, holders []string) (_ *epoch, err error) {
	log := g.cfg.Logger
	capacities := make([]float64, len(workers))
	for i, w := range workers {
		capacities[i] = g.pace.of(w)
	}
	p, err := plan.Make(g.units, capacities)
	if err != nil {
		return nil, err
	}
	token := make([]byte, 32)
	rand.Read(token)
	gen := registry.Generation{Group: g.cfg.Name, Model: g.cfg.Model, CheckpointID: g.cfg.Checkpoint.ID(), TokenHash: registry.HashToken(token), Drained: g.Drained()}
	for i, w := range workers {
		gen.Ranks = append(gen.Ranks, registry.GenerationRank{WorkerID: w.ID, Address: w.Address, Share: registry.Share(p.Shares[i]), Pace: g.pace.known[w.ID]})
	}
	id, recorded, err := g.record(ctx, gen)
	if err != nil {
		return nil, fmt.Errorf("write the generation record: %w", err)
	}
	if !recorded {
		if err := g.last.strange(workers); err != nil {
			return nil, err
		}
	}
	gen.Epoch = id
	log.Info("epoch forming", "epoch", id, "workers", len(workers))
	g.event(Event{Kind: "forming", Epoch: id, Text: fmt.Sprintf("%d workers", len(workers))})
	g.setState(func(s *State) {
		s.Phase, s.Reason, s.Epoch, s.Members, s.Plan = "loading", "workers are loading", id, workers, p
	})

	ectx, end := context.WithCancelCause(ctx)
	cancel := func() { end(nil) }
	previous := g.last.token
	g.last.epoch, g.last.token = id, token
	e := &epoch{id: id, members: workers, holders: holders, plan: p, cancel: cancel, over: ectx.Done(), results: make(chan rankResult, 2*len(workers)), timing: make([]Timing, len(workers)), answered: make([]uint64, len(workers))}
	defer func() {
		if lost := (*rankError)(nil); err != nil && errors.As(context.Cause(ectx), &lost) {
			err = lost // what the others say is its consequence
		}
		if err != nil {
			e.close()
		}
	}()
	defer g.guard(ectx, e, end)()
	for _, w := range workers {
		conn, err := grpc.NewClient("passthrough:///"+w.Address, g.cfg.DialOptions...)
		if err != nil {
			return nil, &rankError{worker: w.ID, lost: true, err: err}
		}
		e.conns = append(e.conns, conn)
	}
	if !recorded {
		e.wg.Go(func() { g.recordLater(ectx, e, gen) })
	}
	if e.blocks, err = g.sizeKV(ectx, e, all); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := g.prepare(ectx, e, token, previous); err != nil {
		return nil, err
	}
	g.last.took = map[string]string{}
	for _, w := range workers {
		g.last.took[w.ID] = w.Instance
	}
	g.cfg.Metrics.stage(stageLoad, began)
	began = time.Now()
	if err := g.open(ectx, e); err != nil {
		return nil, err
	}
	g.cfg.Metrics.stage(stageLink, began)
	g.resize(e.blocks)
	g.setState(func(s *State) {
		s.Phase, s.Reason, s.Step, s.KVTokens = "serving", "", 0, g.tokens(e.blocks)
		s.Epochs++
	})
	log.Info("epoch serving", "epoch", id, "workers", len(workers))
	g.event(Event{Kind: "serving", Epoch: id, Text: fmt.Sprintf("%d workers", len(workers))})
	return e, nil
}

// guardEvery is how often membership is asked for the workers that an epoch is
// being formed with.
const guardEvery = 50 * time.Millisecond

// guard ends a formation by end when membership says that one of its workers is
// dead, until the returned function is called.
func (g *Group) guard(ctx context.Context, e *epoch, end context.CancelCauseFunc) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for pauseFor(ctx, guardEvery) == nil {
			if err := g.checkAlive(e); err != nil {
				end(err)
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// all runs f for every rank at once; the first failure cancels the others.
func (e *epoch) all(ctx context.Context, f func(ctx context.Context, rank int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, len(e.members))
	for r := range e.members {
		go func() { errs <- f(ctx, r) }()
	}
	var first error
	for range e.members {
		if err := <-errs; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	return first
}

// prepare has every rank load its share.
func (g *Group) prepare(ctx context.Context, e *epoch, token, previous []byte) error {
	ranks := make([]*clusterv1.Rank, len(e.members))
	for i, w := range e.members {
		s := e.plan.Shares[i]
		ranks[i] = &clusterv1.Rank{WorkerId: w.ID, Address: w.Address, Share: &clusterv1.Share{
			HeadLo: int32(s.Heads.Lo), HeadHi: int32(s.Heads.Hi), MlpLo: int32(s.MLP.Lo), MlpHi: int32(s.MLP.Hi),
			VocabLo: int32(s.Vocab.Lo), VocabHi: int32(s.Vocab.Hi)}}
	}
	return e.all(ctx, func(ctx context.Context, r int) error {
		w := e.members[r]
		stream, err := clusterv1.NewWorkerServiceClient(e.conns[r]).Prepare(ctx, &clusterv1.PrepareRequest{
			ProtocolVersion: ProtocolVersion, Group: g.cfg.Name, Epoch: e.id, Rank: int32(r), Ranks: ranks, Token: token, PreviousToken: previous,
			Model: g.cfg.Model, CheckpointId: g.cfg.Checkpoint.ID(), ConfigJson: g.cfg.Checkpoint.Config(),
			GenerationConfigJson: g.cfg.Checkpoint.GenerationConfig(), WeightsAddress: g.cfg.WeightsAddress,
			Kv:                  &clusterv1.KvConfig{Blocks: int32(e.blocks), BlockSize: int32(g.cfg.BlockSize), Type: g.cfg.KVType.String()},
			CollectiveTimeoutMs: g.cfg.CollectiveTimeout.Milliseconds(),
			Quant:               quantName(g.cfg.Quant), Holders: e.holders,
		})
		for err == nil {
			var m *clusterv1.PrepareResponse
			if m, err = stream.Recv(); err != nil {
				break
			}
			p := Progress{Worker: w.ID, Rank: r}
			if l := m.GetProgress(); l != nil {
				p.Done, p.Total = l.BytesDone, l.BytesTotal
			}
			if rd := m.GetReady(); rd != nil {
				p.Done, p.Total, p.Ready, p.Loaded = rd.WeightBytes, rd.WeightBytes, true, rd.Loaded
			}
			if g.cfg.OnProgress != nil {
				g.cfg.OnProgress(p)
			}
			if p.Ready {
				return nil
			}
		}
		return &rankError{worker: w.ID, lost: unreachable(err), fatal: hopeless(err), unknown: status.Code(err) == codes.FailedPrecondition, err: fmt.Errorf("prepare: %w", plain(err))}
	})
}

// quantName is PrepareRequest.quant.
func quantName(f kernels.Format) string {
	if f == kernels.AsStored {
		return ""
	}
	return f.String()
}

// open starts the ranks' step streams and waits until all are linked.
func (g *Group) open(ctx context.Context, e *epoch) error {
	e.runs = make([]clusterv1.WorkerService_RunClient, len(e.members))
	var mu sync.Mutex
	var complaints []complaint
	formed := make(chan struct{})
	// The streams live as long as the epoch, so they hang on its context; the
	// time to form is watched from here.
	timer := time.AfterFunc(formTimeout, func() {
		select {
		case <-formed:
		default:
			e.cancel()
		}
	})
	defer timer.Stop()
	err := e.all(context.WithoutCancel(ctx), func(_ context.Context, r int) error {
		w := e.members[r]
		stream, err := clusterv1.NewWorkerServiceClient(e.conns[r]).Run(ctx)
		if err == nil {
			_ = stream.Send(&clusterv1.RunRequest{Message: &clusterv1.RunRequest_Open{Open: &clusterv1.Open{Group: g.cfg.Name, Epoch: e.id}}}) // Recv tells what fails
			var m *clusterv1.RunResponse
			if m, err = stream.Recv(); err == nil && m.GetError() != nil {
				err = errors.New(m.GetError().Message)
				if of := e.rank(m.GetError().GetUnreachable()); of >= 0 {
					mu.Lock()
					complaints = append(complaints, complaint{r, of})
					mu.Unlock()
				}
			}
		}
		if err != nil {
			e.cancel() // the others wait for this one: end that
			return &rankError{worker: w.ID, lost: unreachable(err), err: fmt.Errorf("link up: %w", plain(err))}
		}
		mu.Lock()
		e.runs[r] = stream
		mu.Unlock()
		return nil
	})
	if complaints != nil {
		return e.blame(g.work(e.plan), complaints, <-g.ask(context.WithoutCancel(ctx), e), err)
	}
	if err != nil {
		return err
	}
	close(formed)
	for r, stream := range e.runs {
		e.wg.Go(func() {
			for {
				m, err := stream.Recv()
				select {
				case e.results <- rankResult{r, m, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		})
	}
	return nil
}

// close ends the epoch on this side; the workers see their streams end.
func (e *epoch) close() {
	for _, s := range e.runs {
		if s != nil {
			s.CloseSend()
		}
	}
	e.cancel()
	e.wg.Wait()
	for _, c := range e.conns {
		c.Close()
	}
}

// unreachable tells a worker that does not answer from one that refuses.
func unreachable(err error) bool {
	c := status.Code(err)
	return c == codes.Unavailable || c == codes.DeadlineExceeded || c == codes.Unauthenticated || errors.Is(err, io.EOF)
}

// hopeless tells a refusal that the same request will meet again.
func hopeless(err error) bool {
	c := status.Code(err)
	return c == codes.DataLoss || c == codes.ResourceExhausted || c == codes.InvalidArgument
}

// plain is err without gRPC's wrapping.
func plain(err error) error {
	if s, ok := status.FromError(err); ok && s.Code() != codes.OK {
		return fmt.Errorf("%s (%s)", s.Message(), s.Code())
	}
	return err
}
