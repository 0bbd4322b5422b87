package main

import (
	"context"
	"fmt"

	"github.com/sullae/sullae/coordinator"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/worker/node"
)

// workerCmd runs one worker.
type workerCmd struct {
	ID        string   `placeholder:"NAME" help:"Unique name of this worker; default: host name and process id."`
	Listen    string   `default:"0.0.0.0:0" placeholder:"HOST:PORT" help:"Address for the coordinator and other workers; port 0 takes a free one."`
	Advertise string   `placeholder:"HOST" help:"Name or address of this host for other nodes."`
	Model     string   `placeholder:"PATH" help:"Model folder or .gguf file on this host, or \"demo\"; without it weights come from the coordinator."`
	Threads   int      `short:"t" help:"Compute threads; default: all cores, or the CPU quota."`
	Memory    byteSize `placeholder:"SIZE" help:"Most memory for weights and KV cache, such as 8GB; default: what is free."`
	Capacity  float64  `help:"Speed relative to the other workers, 1 being like most: shares are dealt by it. Default: as measured while the group works."`
	deviceFlags
	CPUVariant   string       `name:"cpu-variant" placeholder:"NAME" help:"Kernels to use (avx512vnni, avxvnni, avx2, portable); default: the best that this CPU has."`
	DrainTimeout durationFlag `default:"10s" help:"How long to wait, when asked to end, for the group to form without this worker."`
	Ops          string       `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Plaintext address of probes (/startupz, /readyz, /livez), /metrics, and /debug/ for this host alone; port 0 takes a free one, empty is none."`
	packFlags
	etcdFlags
	gossipFlags
	tlsFlags
	traceFlags
	logFlags
}

// Run serves until the context ends.
func (c *workerCmd) Run(ctx context.Context) error {
	log := c.logger()
	key, err := c.key()
	if err != nil {
		return err
	}
	security, err := c.tlsFlags.source(log)
	if err != nil {
		return err
	}
	if !(c.Capacity >= 0) {
		return fmt.Errorf("--capacity %v: must be above 0, or 0 for as measured", c.Capacity)
	}
	if c.Threads < 0 {
		return fmt.Errorf("--threads %d: must be at least 1", c.Threads)
	}
	cfg := node.Config{
		ID: nodeID(c.ID, "worker"), Version: version, Listen: c.Listen, Advertise: c.Advertise,
		GossipAddr: c.Gossip, GossipKey: key, NodeTLS: security, Etcd: c.etcdFlags.config(log),
		Threads: c.Threads, Variant: c.CPUVariant, Memory: int64(c.Memory), Speed: c.Capacity, DrainTimeout: c.DrainTimeout, OpsAddr: c.Ops, Tracing: c.traceFlags.config(), Logger: log,
		PackCache: c.PackCache, PackCacheSize: int64(c.PackCacheSize), Device: c.Device, ExactCUDA: c.CUDAExact,
	}
	if c.Model != "" {
		var ckpt *checkpoint.Checkpoint
		if ckpt, err = coordinator.OpenModel(c.Model); err != nil {
			return err
		}
		defer ckpt.Close()
		cfg.Checkpoint = ckpt
	}
	return node.Run(ctx, cfg)
}
