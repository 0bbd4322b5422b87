package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/sullae/sullae/coordinator"
	"github.com/sullae/sullae/kernels"
)

type durationFlag = time.Duration

// coordinatorCmd runs one coordinator.
type coordinatorCmd struct {
	Model   string `placeholder:"PATH" help:"Model folder as Hugging Face publishes it, or a .gguf file; default: the built-in demo model."`
	ID      string `placeholder:"NAME" help:"Unique name of this coordinator; default: host name and process id."`
	Workers int    `min:"0" default:"1" help:"Workers that share the model; 0: all that there are."`
	servingFlags
	edgeFlags
	MinWorkers    int          `min:"1" default:"1" help:"Workers to go on with after a loss."`
	Regroup       durationFlag `min:"0s" default:"1s" help:"How long to wait for a lost worker's return before going on with fewer."`
	ClusterListen string       `default:"0.0.0.0:0" placeholder:"HOST:PORT" help:"Address where workers fetch weights."`
	Advertise     string       `placeholder:"HOST" help:"Name or address of this host for other nodes."`
	DrainTimeout  durationFlag `min:"0s" default:"10s" help:"How long, when asked to end, to wait for the requests that are here."`
	EtcdListen    string       `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Without --etcd: where the embedded etcd listens."`
	EtcdDir       string       `placeholder:"DIR" help:"Without --etcd: where the embedded etcd keeps its data; default: a temporary folder."`
	etcdFlags
	gossipFlags
	tlsFlags
	traceFlags
	logFlags
}

// Run serves until the context ends, and prints one line when it does serve.
func (c *coordinatorCmd) Run(ctx context.Context) error {
	log := c.logger()
	key, err := c.key()
	if err != nil {
		return err
	}
	security, err := c.tlsFlags.source(log)
	if err != nil {
		return err
	}
	cfg := c.servingFlags.config()
	cfg.ID = nodeID(c.ID, "coordinator")
	cfg.Model, cfg.Workers, cfg.MinWorkers, cfg.Regroup = c.Model, c.Workers, c.MinWorkers, c.Regroup
	cfg.DrainTimeout = c.DrainTimeout
	c.edgeFlags.set(&cfg)
	cfg.Tracing = c.traceFlags.config()
	cfg.ClusterAddr, cfg.Advertise = c.ClusterListen, c.Advertise
	cfg.GossipAddr, cfg.GossipKey = c.Gossip, key
	cfg.NodeTLS = security
	cfg.Etcd, cfg.EtcdListen, cfg.EtcdDir = c.etcdFlags.config(log), c.EtcdListen, c.EtcdDir
	cfg.Logger = log
	cfg.OnEtcd = func(endpoints []string) { log.Info("waiting for workers", "etcd", endpoints, "workers", cfg.Workers) }
	cfg.OnProgress = logProgress(log)
	cfg.OnReady = printReady
	return asked(ctx, coordinator.Run(ctx, cfg))
}

func (f servingFlags) config() coordinator.Config {
	quant, err := kernels.ParseFormat(f.Quant)
	if err != nil {
		panic(err) // the flag is an enum
	}
	return coordinator.Config{
		Version: version, ServedName: f.ServedModelName, HTTPAddr: f.HTTP, GRPCAddr: f.GRPC, BatchDir: f.BatchDir,
		Groups: f.Groups, KVTokens: f.KVTokens, KVType: kvType(f.KVType), Quant: quant, BlockSize: f.BlockSize,
		MaxBatchedTokens: f.MaxBatchedTokens, MaxSeqs: f.MaxSeqs, MaxPrefillChunk: f.MaxPrefillChunk,
		MaxQueuedRequests: f.MaxQueuedRequests, MaxQueuedTokens: f.MaxQueuedTokens, NoPrefixCache: !f.PrefixCache, PromptLookup: f.PromptLookup, CollectiveTimeout: f.CollectiveTimeout, Rebalance: f.Rebalance,
	}
}

// kvType is the value of a flag that is an enum.
func kvType(name string) kernels.KVType {
	t, err := kernels.ParseKVType(name)
	if err != nil {
		panic(err)
	}
	return t
}

// printReady is the line that scripts wait for.
func printReady(r coordinator.Ready) {
	fmt.Printf("ready http=%s grpc=%s workers=%d model=%s\n", r.HTTP, r.GRPC, r.Workers, r.Model)
}

// nodeID is the given name, or one that no other process on any host has.
func nodeID(given, kind string) string {
	if given != "" {
		return given
	}
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return fmt.Sprintf("%s-%s-%d", kind, host, os.Getpid())
}
