// Package node is a worker's process: it registers itself, answers the
// coordinator (Prepare, Run), and owns the backend, the links and the rank that
// the worker is at the moment.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/allreduce"
	grpclink "github.com/sullae/sullae/collective/link/grpc"
	"github.com/sullae/sullae/collective/member"
	"github.com/sullae/sullae/collective/nodetls"
	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/ops/cgroup"
	"github.com/sullae/sullae/ops/numa"
	"github.com/sullae/sullae/ops/tracing"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/packcache"
	"github.com/sullae/sullae/worker/remote"
)

// lastWords bounds the wait for calls to be answered, of a worker that ends by itself.
const lastWords = time.Second

// stopTimeout bounds an orderly end.
const stopTimeout = 5 * time.Second

// gossipLeave is how long the goodbye in gossip may take.
const gossipLeave = 500 * time.Millisecond

// Config is a worker's configuration. Flags that errors name are those of
// `sullae worker`.
type Config struct {
	ID      string // unique in the cluster
	Version string
	// Listen is where coordinator and peers dial this worker; Advertise is the
	// host they use for it, "" for the listener's own.
	Listen, Advertise string
	GossipAddr        string
	GossipKey         []byte
	NodeTLS           *nodetls.Source // of the streams between nodes; nil: plain text
	Etcd              registry.Config

	Threads int     // 0: what the CPU quota allows, or all cores
	Variant string  // of the CPU kernels; "": the best
	Memory  int64   // bytes that the share and its KV may take; 0: what is free
	Speed   float64 // capacity relative to other workers; 0: as measured

	// StreamsOnly has ranks on one host exchange activations over gRPC, as those on
	// several do, and not through memory.
	StreamsOnly bool

	// DrainTimeout is how long an orderly end waits for the group to form without
	// this worker; 0: not at all.
	DrainTimeout time.Duration

	// Device is "cpu", "cuda", "cuda:N", or "auto": a GPU where there is one.
	// ExactCUDA has a GPU take activations as they are (cuda.Config).
	Device    string
	ExactCUDA bool

	// PackCache is a folder for packed units, "" for none, of at most
	// PackCacheSize bytes.
	PackCache     string
	PackCacheSize int64

	Tracing tracing.Config // of OpenTelemetry traces

	// OpsAddr is the plaintext port for probes, metrics and /debug/; "": none.
	OpsAddr string

	// Checkpoint is the model that this worker can read by itself, or nil.
	Checkpoint *checkpoint.Checkpoint
	Logger     *slog.Logger
}

// Run serves until ctx ends (then it returns nil) or something it needs fails.
// When it returns nothing that it started is left.
func Run(ctx context.Context, cfg Config) (err error) {
	start := time.Now()
	log := cfg.Logger.With("node", cfg.ID)
	backend, err := openDevice(cfg, log)
	if err != nil {
		return err
	}
	defer backend.Close()
	var cache *packcache.Cache
	if cfg.PackCache != "" {
		if cache, err = packcache.Open(cfg.PackCache, cfg.PackCacheSize, log); err != nil {
			return fmt.Errorf("--pack-cache: %w", err)
		}
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w (choose another address, or port 0 for a free one)", cfg.Listen, err)
	}
	defer listener.Close()
	address := member.Reachable(listener.Addr(), cfg.Advertise)
	hub := grpclink.NewHub(grpclink.HubOptions{Dial: cfg.NodeTLS.DialOptions(), Logger: log,
		SharedMemory: !cfg.StreamsOnly, SpinRanks: numa.Beside() * cgroup.Threads() / backend.Info().Threads})
	svc := &service{
		id: cfg.ID, version: cfg.Version, backend: backend, links: linker{hub, backend.add},
		weights: weightSource(cfg.Checkpoint, cfg.NodeTLS), memoryLimit: cfg.Memory, lost: make(chan error, 1), log: log, metrics: newMetrics(cfg.Version, cfg.NodeTLS),
		packs: packs{cache: cache, log: log}, units: &units{backend: backend.Backend, cache: cache}, security: cfg.NodeTLS,
	}
	svc.metrics.watch(svc)
	cfg.Tracing.Service, cfg.Tracing.Version, cfg.Tracing.Instance = "sullae-worker", cfg.Version, cfg.ID
	traces, err := tracing.Start(ctx, cfg.Tracing, log)
	if err != nil {
		return err
	}
	defer traces.Close()
	if traces != nil {
		svc.tracer = traces.Tracer()
	}
	opsServer, opsAddress, err := listenOps(cfg, svc, svc.metrics)
	if err != nil {
		return err
	}
	if opsServer != nil {
		// Probes are answered from here on, until everything else has ended.
		octx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan error, 1)
		go func() { ended <- opsServer.Serve(octx) }()
		defer func() { cancel(); err = errors.Join(err, <-ended) }()
	}

	reg, err := registry.Open(ctx, cfg.Etcd)
	if err != nil {
		return err
	}
	defer reg.Close()
	bind, port, err := member.SplitAddr(cfg.GossipAddr)
	if err != nil {
		return err
	}
	gossip, err := member.Start(member.Config{
		Name: cfg.ID, BindAddr: bind, BindPort: port, Advertise: cfg.Advertise, Key: cfg.GossipKey, Cluster: cfg.Etcd.Cluster, Logger: log,
	})
	if err != nil {
		return err
	}
	defer gossip.Leave(gossipLeave)

	svc.fence = reg
	server := grpc.NewServer(append(grpclink.ServerOptions(), grpc.Creds(cfg.NodeTLS.Server()))...)
	clusterv1.RegisterWorkerServiceServer(server, svc)
	clusterv1.RegisterWeightServiceServer(server, svc.units)
	hub.Register(server)
	hs := health.NewServer()
	healthv1.RegisterHealthServer(server, hs)

	info := backend.Info()
	host, _ := os.Hostname()
	rec := registry.Worker{
		ID: cfg.ID, Address: address, GossipAddress: gossip.Self().Addr, OpsAddress: opsAddress, Version: cfg.Version, ProtocolVersion: ProtocolVersion,
		Backend: info.Name, Variant: info.Variant, Class: info.Class, Threads: info.Threads, MemoryBytes: cfg.Memory,
		Capacity: cfg.Speed, Hostname: host, Device: backend.id, PID: os.Getpid(), StartedUnixMs: start.UnixMilli(),
	}
	if rec.MemoryBytes == 0 {
		rec.MemoryBytes = backend.free()
	}
	if cfg.Checkpoint != nil {
		rec.CheckpointID = cfg.Checkpoint.ID()
	}
	eg, run := errgroup.WithContext(ctx)
	eg.Go(func() error { return server.Serve(listener) })
	eg.Go(func() error { return cfg.NodeTLS.Watch(run) })
	eg.Go(func() error {
		select {
		case err := <-svc.lost:
			return fmt.Errorf("the device is lost, and this worker ends; one that is started in its place takes its part again: %w", err)
		case <-run.Done():
			return nil
		}
	})
	registration, err := reg.RegisterWorker(ctx, rec)
	if err == nil {
		svc.registered()
		log.Info("worker registered", "address", address, "backend", info.Name+"/"+info.Variant, "threads", info.Threads)
		eg.Go(func() error { return gossip.Follow(run, reg.GossipSeeds(run)) })
	} else {
		eg.Go(func() error { return err })
	}
	eg.Go(func() error {
		<-run.Done()
		svc.leaves()
		hs.Shutdown()
		if registration != nil && ctx.Err() != nil {
			drain(reg, registration, svc, cfg.DrainTimeout, log)
		}
		if registration != nil {
			sctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
			defer cancel()
			registration.Close(sctx)
		}
		svc.stop()
		hub.Close()
		if ctx.Err() == nil { // it ends by itself: who waits for an answer is told why
			late := time.AfterFunc(lastWords, server.Stop)
			server.GracefulStop()
			late.Stop()
		}
		server.Stop()
		return nil
	})
	err = eg.Wait()
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

// drain says that this worker is about to leave, and waits until its group has
// formed without it, as long as timeout, and its units are handed over where others stay.
func drain(reg *registry.Registry, r *registry.Registration[registry.Worker], svc *service, timeout time.Duration, log *slog.Logger) {
	running := svc.running()
	if timeout <= 0 || running == nil {
		return
	}
	rec := r.Record()
	rec.State = registry.Draining
	if err := r.Update(rec); err != nil {
		log.Warn("drain", "err", err)
		return
	}
	log.Info("draining", "timeout", timeout)
	select {
	case <-running:
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		svc.units.handOver(ctx, rec.ID, reg.WatchWorkers(ctx))
		log.Info("drained")
	case <-time.After(timeout):
		log.Warn("the group did not form without this worker in time; leaving all the same")
	}
}

// linker forms links over a hub.
type linker struct {
	hub *grpclink.Hub
	add allreduce.Add
}

func (l linker) Join(ctx context.Context, f Formation) (collective.Communicator, error) {
	return l.hub.Join(ctx, grpclink.Formation{
		Group: f.Group, Epoch: f.Epoch, Rank: f.Rank, WorldSize: len(f.Peers), Peers: f.Peers, Token: f.Token,
		Tuning: collective.Tuning{Timeout: f.Timeout, Add: l.add},
	})
}

// weightSource reads from own where that is the checkpoint asked for, else from
// the coordinator.
func weightSource(own *checkpoint.Checkpoint, security *nodetls.Source) WeightSource {
	return func(ctx context.Context, id, addr string) (checkpoint.Source, func(), error) {
		if own != nil && own.ID() == id {
			return own, func() {}, nil
		}
		conn, err := grpc.NewClient("passthrough:///"+addr,
			append(security.DialOptions(), grpc.WithInitialWindowSize(16<<20), grpc.WithInitialConnWindowSize(64<<20))...)
		if err != nil {
			return nil, nil, err
		}
		src, err := remote.Open(ctx, clusterv1.NewWeightServiceClient(conn), id)
		if err != nil {
			conn.Close()
			return nil, nil, err
		}
		return src, func() { conn.Close() }, nil
	}
}
