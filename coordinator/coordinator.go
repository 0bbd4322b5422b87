package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sullae/sullae/collective/member"
	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator/audit"
	"github.com/sullae/sullae/coordinator/batch"
	"github.com/sullae/sullae/coordinator/console"
	"github.com/sullae/sullae/coordinator/edge"
	"github.com/sullae/sullae/coordinator/forward"
	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/openai"
	"github.com/sullae/sullae/coordinator/gateway/rpc"
	"github.com/sullae/sullae/coordinator/group"
	"github.com/sullae/sullae/coordinator/policy"
	"github.com/sullae/sullae/coordinator/router"
	"github.com/sullae/sullae/coordinator/sched"
	"github.com/sullae/sullae/coordinator/weights"
	"github.com/sullae/sullae/ops"
	"github.com/sullae/sullae/ops/tracing"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/checkpoint"
)

// stopTimeout bounds an orderly end: requests have been told by then.
const stopTimeout = 5 * time.Second

// coordinator holds what Run has started, in order.
type coordinator struct {
	cfg    Config
	ckpt   *checkpoint.Checkpoint
	model  gateway.Model
	reg    *registry.Registry
	gossip *member.Members
	view   *member.View
	groups *router.Router
	lead   *leader
	vet    *vetter // nil: nodes have no certificates
	start  time.Time
	// progress is what workers last told of their loading.
	progress progress
	peers    peers
	record   *registry.Registration[registry.Coordinator]
	known    atomic.Pointer[[]registry.Worker] // registered workers, as last seen

	metrics *prometheus.Registry
	etcdUp  atomic.Bool
	router  routerMetrics
	traces  *tracing.Provider
	tracer  trace.Tracer // nil: no traces are made
	svc     *gateway.Service
	events  events
	opsAddr string // as others reach it; "": none
	// started is set when all parts below are there; draining when no more is
	// taken.
	started, draining atomic.Bool
	routes            routes

	httpL, grpcL, clusterL net.Listener
	forwardKey             string // of httpL and grpcL, to who stands by
	cleanup                []func()
}

// Run serves until ctx ends (then it returns nil) or something it needs fails.
// When it returns nothing that it started is left.
func Run(ctx context.Context, cfg Config) (err error) {
	cfg.setDefaults()
	if cfg.Groups < 1 || cfg.Groups > 1 && cfg.Workers == 0 {
		return fmt.Errorf("--groups %d with --workers %d: give at least one group, and how many workers make a group", cfg.Groups, cfg.Workers)
	}
	if cfg.PromptLookup < 0 || cfg.PromptLookup > gateway.MaxPromptLookup {
		return fmt.Errorf("--prompt-lookup %d: must be between 0 (off) and %d", cfg.PromptLookup, gateway.MaxPromptLookup)
	}
	c := &coordinator{cfg: cfg, start: time.Now(), lead: &leader{}, forwardKey: forward.NewKey(), metrics: ops.NewRegistry("coordinator", cfg.Version)}
	defer func() {
		for i := len(c.cleanup) - 1; i >= 0; i-- {
			c.cleanup[i]()
		}
	}()
	for _, step := range []func(context.Context) error{c.openOps, c.openTraces, c.openModel, c.listen, c.openEtcd, c.joinCluster} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	err = c.serve(ctx)
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

func (c *coordinator) later(f func()) { c.cleanup = append(c.cleanup, f) }

// serve runs the APIs and, while this coordinator leads, the group.
func (c *coordinator) serve(ctx context.Context) (err error) {
	metrics := c.metrics
	vctx, stopVetting := context.WithCancel(ctx)
	vet := newVetter(vctx, c.cfg.NodeTLS, c.cfg.Logger)
	defer vet.wait()
	defer stopVetting()
	c.vet = vet
	c.groups = router.New()
	var roster *group.Roster
	if c.cfg.Groups > 1 {
		roster = group.NewRoster(c.cfg.Groups)
	}
	arrivals := new(sched.Arrivals)
	for i := range c.cfg.Groups {
		if err := c.addGroup(strconv.Itoa(i), roster, arrivals); err != nil {
			return err
		}
	}
	c.registerMetrics(metrics)
	security, err := edge.LoadTLS(c.cfg.TLS, c.cfg.Logger)
	if err != nil {
		return err
	}
	guard, err := edge.NewGuard(c.cfg.APIKeys, c.cfg.Logger, metrics)
	if err != nil {
		return err
	}
	record, err := audit.Open(c.cfg.Audit, c.cfg.Logger, metrics)
	if err != nil {
		return err
	}
	c.later(record.Close)
	policies, err := policy.Dial(c.cfg.Policy, c.cfg.Logger, metrics)
	if err != nil {
		return err
	}
	c.later(policies.Close)
	svc := gateway.New(gateway.Config{Model: c.model, Engine: c.groups, Logger: c.cfg.Logger, Registry: metrics, Limits: c.cfg.Limits,
		Auditor: record.Auditor(), AuditContent: c.cfg.Audit.Content, Tracer: c.tracer, Policy: policies.Policy(), PolicyConfig: c.cfg.Policy.PolicyConfig, PromptLookup: c.cfg.PromptLookup})

	c.svc = svc
	v1 := openai.NewHandler(openai.Config{Service: svc, Metrics: metrics, Version: c.cfg.Version, MaxBodyBytes: c.cfg.MaxRequestBytes})
	batches := batch.New(batch.Config{API: v1, Caller: guard.Named(), Dir: c.cfg.BatchDir, Logger: c.cfg.Logger.With("part", "batch")})
	if err := batches.Check(); err != nil {
		return err
	}
	options := rpc.ServerOptions(svc, int(c.cfg.MaxRequestBytes), guard.Admit)
	if security != nil {
		ops.WatchExpiry(metrics, "api", security.NotAfter)
		options = append(options, grpc.Creds(credentials.NewTLS(security.Config("h2"))))
	}
	options = append(options, c.traces.GRPC()...)
	api := grpc.NewServer(append(options, yieldToStreams(batches))...)
	health := rpc.Register(api, svc)
	cluster := grpc.NewServer(grpc.Creds(c.cfg.NodeTLS.Server()))
	clusterv1.RegisterWeightServiceServer(cluster, weights.NewServer(c.ckpt))
	mux := new(edge.Mux)
	mux.Handle("/", batches.Wrap(v1))
	mux.HandleFunc("GET /cluster/status", c.serveStatus)
	mux.HandleFunc("POST /cluster/workers/{id}/drain", c.serveDrain)
	mux.HandleFunc("DELETE /cluster/workers/{id}/drain", c.serveDrain)
	mux.HandleFunc("GET "+console.Path+"{$}", console.Serve)
	mux.HandleFunc("GET /{$}", console.Redirect)
	mux.HandleFunc("GET /console", console.Redirect)
	web := openai.NewServer(c.traces.HTTP(guard.HTTP(mux, refuse(openai.Refuse(svc)))), openai.BodySilence)
	web.ErrorLog = slog.NewLogLogger(c.cfg.Logger.With("part", "http").Handler(), slog.LevelWarn)
	c.routes = routes{HTTP: slices.Concat(mux.Patterns(), v1.Patterns(), batches.Patterns()), GRPC: grpcMethods(api)}

	servers := servers{web: web, api: api, cluster: cluster}
	httpL := c.standIn(c.httpL, &servers, func(x registry.Coordinator) string { return x.HTTPAddress })
	grpcL := c.standIn(c.grpcL, &servers, func(x registry.Coordinator) string { return x.GRPCAddress })

	// What serves outlives ctx for as long as it takes to end requests in order.
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	eg, run := errgroup.WithContext(serving)
	eg.Go(func() error { return ignoreClosed(serveWeb(web, httpL, security)) })
	eg.Go(func() error { return security.Watch(run) })
	eg.Go(func() error { return guard.Watch(run) })
	c.started.Store(true)
	eg.Go(func() error { return api.Serve(grpcL) })
	eg.Go(func() error { return cluster.Serve(c.clusterL) })
	eg.Go(func() error { return c.watchPeers(run) })
	eg.Go(func() error { return c.watchEtcd(run) })
	eg.Go(func() error { return c.router.run(run, func() int64 { return svc.Traffic().Requests }) })
	eg.Go(func() error { return c.announce(run) })
	eg.Go(func() error { return c.gossip.Follow(run, c.reg.GossipSeeds(run)) })
	eg.Go(func() error { return c.watchWorkers(run) })
	eg.Go(func() error { return c.cfg.NodeTLS.Watch(run) })
	eg.Go(func() error { return c.watchReady(run, health.SetServing) })
	// What takes on new work stops when this coordinator is asked to end, and when
	// anything here fails.
	active, rest := context.WithCancel(run)
	defer rest()
	defer context.AfterFunc(ctx, rest)()
	eg.Go(func() error { return c.leadAndRun(active, run) })
	eg.Go(func() error { return c.runBatches(active, batches) })
	eg.Go(func() error {
		select {
		case <-ctx.Done():
			c.draining.Store(true)
			health.Shutdown()
			if c.cfg.DrainTimeout > 0 {
				c.drain(&servers)
			}
		case <-run.Done():
		}
		end()
		health.Shutdown()
		servers.close()
		return nil
	})
	return eg.Wait()
}

// addGroup makes one of the groups.
func (c *coordinator) addGroup(name string, roster *group.Roster, arrivals *sched.Arrivals) error {
	gm := group.NewMetrics(c.metrics, c.model.Name, name)
	g, err := group.New(group.Config{
		Name: name, Model: c.model.Name, Checkpoint: c.ckpt, WeightsAddress: c.reachable(c.clusterL),
		Placement: placement{c.reg, c.lead}, Dead: c.view.Dead, Answers: c.gossip.Answers, Roster: roster, OnEpochEnd: c.groups.Move, OnServing: c.groups.Share, Spare: c.groups.Spare, Arrivals: arrivals,
		Workers: c.cfg.Workers, MinWorkers: c.cfg.MinWorkers, Regroup: c.cfg.Regroup, Rebalance: c.cfg.Rebalance,
		KVTokens: c.cfg.KVTokens, BlockSize: c.cfg.BlockSize, KVType: c.cfg.KVType, Quant: c.cfg.Quant,
		MaxBatchedTokens: c.cfg.MaxBatchedTokens, MaxSeqs: c.cfg.MaxSeqs, MaxPrefillChunk: c.cfg.MaxPrefillChunk,
		MaxWaiting: c.cfg.MaxQueuedRequests, MaxWaitingTokens: c.cfg.MaxQueuedTokens, NoPrefixCache: c.cfg.NoPrefixCache,
		CollectiveTimeout: c.cfg.CollectiveTimeout,
		DialOptions:       c.cfg.NodeTLS.DialOptions(),
		Refused:           c.vet.refused,
		Logger:            c.cfg.Logger.With("group", name), OnProgress: c.onProgress, OnEvent: c.events.add, Metrics: gm, Tracer: c.tracer,
	})
	if err != nil {
		return err
	}
	gm.Watch(c.metrics, c.model.Name, g)
	c.groups.Add(g)
	return nil
}

// worldSize is the number of ranks, over all groups.
func (c *coordinator) worldSize() (n int) {
	for _, g := range c.groups.Groups() {
		n += g.State().Plan.WorldSize()
	}
	return n
}

func (c *coordinator) onProgress(p group.Progress) {
	c.progress.set(p)
	if c.cfg.OnProgress != nil {
		c.cfg.OnProgress(p)
	}
}

// watchReady keeps gRPC health true to the group, and tells when requests are
// first served.
func (c *coordinator) watchReady(ctx context.Context, set func(bool)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	told, was := false, false
	for {
		if ok := c.groups.Ready() == nil; ok != was {
			was = ok
			set(ok)
		}
		if was && !told && c.cfg.OnReady != nil {
			told = true
			c.cfg.OnReady(Ready{HTTP: c.httpL.Addr().String(), GRPC: c.grpcL.Addr().String(), Workers: c.worldSize(), Model: c.model.Name})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// refuse answers those who have no key: a person who opens the console is asked
// for it.
func refuse(api func(http.ResponseWriter, *http.Request, error)) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		if !errors.Is(err, gateway.ErrUnauthenticated) || !console.Refuse(w, r) {
			api(w, r, err)
		}
	}
}

// serveWeb serves a listener, with TLS where there is a certificate.
func serveWeb(web *http.Server, l net.Listener, security *edge.TLS) error {
	if security == nil {
		return web.Serve(l)
	}
	web.TLSConfig = security.Config("h2", "http/1.1")
	return web.ServeTLS(l, "", "")
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("http: %w", err)
}
