package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/sullae/sullae/coordinator"
	"github.com/sullae/sullae/ops/numa"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/worker/node"
)

// workerCmd runs one worker.
type workerCmd struct {
	ID        string   `placeholder:"NAME" help:"Unique name of this worker; default: host name and process id."`
	Listen    string   `default:"0.0.0.0:0" placeholder:"HOST:PORT" help:"Address for the coordinator and other workers; port 0 takes a free one."`
	Advertise string   `placeholder:"HOST" help:"Name or address of this host for other nodes."`
	Model     string   `placeholder:"PATH" help:"Model folder or .gguf file on this host, or \"demo\"; without it weights come from the coordinator."`
	Threads   int      `min:"0" short:"t" help:"Compute threads; default: all cores (of the NUMA node), or the CPU quota."`
	NUMANode  string   `name:"numa-node" default:"off" placeholder:"N" help:"NUMA node to bind this worker's threads and memory to: its number, \"auto\" for the one with the most free memory where there are several, or \"off\"."`
	Memory    byteSize `placeholder:"SIZE" help:"Most memory for weights and KV cache, such as 8GB; default: what is free."`
	Capacity  float64  `help:"Speed relative to the other workers, 1 being like most: shares are dealt by it. Default: as measured while the group works."`
	deviceFlags
	CPUVariant   string       `name:"cpu-variant" placeholder:"NAME" help:"Kernels to use (avx512vnni, avxvnni, avx2, portable); default: the best that this CPU has."`
	DrainTimeout durationFlag `min:"0s" default:"10s" help:"How long to wait, when asked to end, for the group to form without this worker."`
	Ops          string       `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Plaintext address of probes (/startupz, /readyz, /livez), /metrics, and /debug/ for this host alone; port 0 takes a free one, empty is none."`
	packFlags
	linkFlags
	etcdFlags
	gossipFlags
	tlsFlags
	traceFlags
	logFlags
}

// workerGC is a worker's GOGC: its heap is a step's buffers, which cost a collection
// nothing but the memory that it lets them take twice.
const workerGC = 50

// Run serves until the context ends.
func (c *workerCmd) Run(ctx context.Context) error {
	log := c.logger()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(workerGC)
	}
	if node, err := numaNode(c.NUMANode); err != nil {
		return err
	} else if node != nil {
		if err := numa.Bind(*node); err != nil {
			return fmt.Errorf("--numa-node %s: %w", c.NUMANode, err)
		}
		log.Info("bound to a NUMA node", "node", node.ID, "cpus", len(node.CPUs))
	}
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
	cfg := node.Config{
		ID: nodeID(c.ID, "worker"), Version: version, Listen: c.Listen, Advertise: c.Advertise,
		GossipAddr: c.Gossip, GossipKey: key, NodeTLS: security, Etcd: c.etcdFlags.config(log),
		Threads: c.Threads, Variant: c.CPUVariant, Memory: int64(c.Memory), Speed: c.Capacity, DrainTimeout: c.DrainTimeout, OpsAddr: c.Ops, Tracing: c.traceFlags.config(), Logger: log,
		PackCache: c.PackCache, PackCacheSize: int64(c.PackCacheSize), Device: c.Device, ExactCUDA: c.CUDAExact, StreamsOnly: c.Link == "grpc",
	}
	if c.Model != "" {
		var ckpt *checkpoint.Checkpoint
		if ckpt, err = coordinator.OpenModel(c.Model); err != nil {
			return err
		}
		defer ckpt.Close()
		cfg.Checkpoint = ckpt
	}
	return asked(ctx, node.Run(ctx, cfg))
}

// numaNode is the node that --numa-node means; nil is none.
func numaNode(name string) (*numa.Node, error) {
	if name == "off" {
		return nil, nil
	}
	nodes, err := numa.Nodes()
	var node *numa.Node
	if err == nil {
		node, err = numa.Choose(name, nodes)
	}
	if err != nil {
		return nil, fmt.Errorf("--numa-node %s: %w", name, err)
	}
	return node, nil
}
