package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sullae/sullae/coordinator"
	"github.com/sullae/sullae/coordinator/embedetcd"
	"github.com/sullae/sullae/ops/cgroup"
	"github.com/sullae/sullae/ops/numa"
)

// upCmd serves a model on this machine.
type upCmd struct {
	Model    string `placeholder:"PATH" help:"Model folder as Hugging Face publishes it, or a .gguf file; default: the built-in demo model."`
	Threads  int    `min:"0" short:"t" help:"Compute threads of each worker; default: all cores, or the CPU quota, shared out."`
	NUMANode string `name:"numa-node" default:"auto" enum:"auto,off" help:"\"auto\" spreads the workers over the machine's NUMA nodes, each bound to one, where there are no fewer workers than nodes; \"off\" binds none."`
	Workers  int    `min:"1" default:"1" help:"Workers that share the model."`
	servingFlags
	edgeFlags
	CPUVariant string `name:"cpu-variant" placeholder:"NAME" help:"Kernels to use (avx512vnni, avxvnni, avx2, portable); default: the best that this CPU has."`
	NodeTLS    bool   `name:"node-tls" help:"Mutual TLS between the processes, with certificates made for this run. Off by default: on one machine it costs a tenth or two of the speed of a small model."`
	deviceFlags
	packFlags
	linkFlags
	etcdFlags
	tlsFlags
	traceFlags
	logFlags
}

// restartPause is the wait before a worker that ended is started again.
const restartPause = time.Second

// Run starts a coordinator in this process and the workers as processes of
// their own, and ends them all when the context does.
func (c *upCmd) Run(ctx context.Context) (err error) {
	defer func(ctx context.Context) { err = asked(ctx, err) }(ctx)
	log := c.logger()
	if err := c.check(); err != nil {
		return err
	}
	show := newLoading(log)
	defer show.close()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	eg, ctx := errgroup.WithContext(ctx)
	cfg := c.servingFlags.config()
	cfg.ID, cfg.Model, cfg.Workers = nodeID("", "up"), c.Model, c.Workers
	c.edgeFlags.set(&cfg)
	cfg.Tracing = c.traceFlags.config()
	cfg.ClusterAddr, cfg.GossipAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Etcd = c.etcdFlags.config(log)
	if len(c.Etcd) == 0 {
		// Not the coordinator's: the workers, which end beside it, still need it.
		srv, err := embedetcd.Start(ctx, embedetcd.Config{ClientAddr: "127.0.0.1:0", Logger: log.With("part", "etcd")})
		if err != nil {
			return err
		}
		defer srv.Close()
		cfg.Etcd.Endpoints = srv.Endpoints()
		// Nobody else can lead over an etcd of its own, so a busy machine must not
		// cost this coordinator its leadership.
		cfg.Etcd.TTL = max(cfg.Etcd.TTL, time.Minute)
	}
	if len(c.Etcd) > 0 && c.Cluster == "default" {
		// Beside other clusters on a shared etcd this one keeps to itself.
		cfg.Etcd.Cluster = cfg.ID
	}
	certs := c.tlsFlags
	if c.NodeTLS && !certs.given() {
		own, remove, err := ownCerts(cfg.Etcd.Cluster)
		if err != nil {
			return err
		}
		defer remove()
		certs = own
	}
	if cfg.NodeTLS, err = certs.source(log); err != nil {
		return err
	}
	cfg.Logger, cfg.OnProgress = log, show.progress
	cfg.Regroup, cfg.MinWorkers = restartPause/2, 1
	var served atomic.Bool
	cfg.OnReady = func(r coordinator.Ready) {
		served.Store(true)
		show.close()
		printReady(r)
	}
	etcd := make(chan []string, 1)
	cfg.OnEtcd = func(endpoints []string) { etcd <- endpoints }
	eg.Go(func() error { return coordinator.Run(ctx, cfg) })
	eg.Go(func() error {
		select {
		case endpoints := <-etcd:
			return c.workers(ctx, log, endpoints, cfg.Etcd.Cluster, certs, served.Load)
		case <-ctx.Done():
			return nil
		}
	})
	return eg.Wait()
}

func (c *upCmd) check() error {
	// Opened once here, so that a bad folder or too many workers is said before
	// anything is started.
	ckpt, err := coordinator.OpenModel(c.Model)
	if err != nil {
		return err
	}
	defer ckpt.Close()
	if heads := ckpt.Spec().Heads; c.Workers > heads {
		return fmt.Errorf("--workers %d: %s has %d query heads, so at most %d workers can share it", c.Workers, ckpt.Name(), heads, heads)
	}
	return nil
}

// workers keeps the worker processes running until ctx ends. One that gives up
// before the model was served would do so again: that is an error.
func (c *upCmd) workers(ctx context.Context, log *slog.Logger, etcd []string, cluster string, certs tlsFlags, served func() bool) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	count := c.Groups * c.Workers
	nodes := c.nodes(count)
	threads := c.Threads
	if threads == 0 {
		threads = max(1, cgroup.Threads()/count)
	}
	model := c.Model
	if model == "" {
		model = coordinator.DemoModel
	}
	eg, ctx := errgroup.WithContext(ctx)
	for i := range count {
		args := []string{"worker", "--model", model, "--threads", strconv.Itoa(threads),
			"--listen", "127.0.0.1:0", "--gossip", "127.0.0.1:0",
			"--etcd", strings.Join(etcd, ","), "--etcd-prefix", c.EtcdPrefix, "--cluster", cluster,
			"--log-level", c.LogLevel.String(), "--log-format", c.LogFormat}
		var node *numa.Node
		if len(nodes) > 0 {
			node = &nodes[i*len(nodes)/count]
			args = append(args, "--numa-node", strconv.Itoa(node.ID))
		}
		args = append(args, certs.args()...)
		args = append(args, c.traceFlags.args()...)
		if c.CUDAExact {
			args = append(args, "--cuda-exact")
		}
		for _, f := range [][2]string{{"--device", c.Device}, {"--link", c.Link}, {"--cpu-variant", c.CPUVariant}, {"--pack-cache", c.PackCache}, {"--pack-cache-size", c.PackCacheSize.String()}, {"--etcd-user", c.EtcdUser}, {"--etcd-ca", c.EtcdCA},
			{"--etcd-cert", c.EtcdCert}, {"--etcd-key", c.EtcdKey}, {"--etcd-server-name", c.EtcdServerName}} {
			if f[1] != "" {
				args = append(args, f[0], f[1])
			}
		}
		eg.Go(func() error {
			id := "worker-" + strconv.Itoa(i)
			for again := 1; ctx.Err() == nil; again++ {
				err := runChild(ctx, exe, node, append(args, "--id", id), "SULLAE_ETCD_PASSWORD="+c.EtcdPassword)
				if ctx.Err() != nil {
					break
				}
				if err != nil && !signalled(err) && !served() {
					return fmt.Errorf("%s could not start: %w (what it said is above)", id, err)
				}
				log.Warn("worker ended; starting it again", "worker", id, "err", err)
				// Its old registration lasts until its lease ends; a new id need not wait.
				id = fmt.Sprintf("worker-%d.%d", i, again)
				select {
				case <-time.After(restartPause):
				case <-ctx.Done():
				}
			}
			return nil
		})
	}
	return eg.Wait()
}

// signalled tells whether a process was ended by a signal, as by the kernel for
// want of memory.
func signalled(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	return ok && !exit.Exited()
}

// nodes are the NUMA nodes over which so many workers are spread; none where the machine
// has one, or too few workers for all.
func (c *upCmd) nodes(workers int) []numa.Node {
	if c.NUMANode == "off" || strings.HasPrefix(c.Device, "cuda") {
		return nil
	}
	nodes, err := numa.Nodes()
	if err != nil || len(nodes) < 2 || workers < len(nodes) {
		return nil // where nothing is known of nodes, nothing is lost
	}
	return nodes
}

// runChild runs a process until it ends or ctx does; then it is asked to end,
// and after a while made to. Where there is a node it is bound to that.
func runChild(ctx context.Context, exe string, node *numa.Node, args []string, env ...string) error {
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	// Should this process be killed outright, the kernel ends the child. That is
	// tied to the thread that starts it, so the thread is kept.
	runtime.LockOSThread()
	if node == nil {
		defer runtime.UnlockOSThread()
	} else if err := numa.BindThread(*node); err != nil { // the thread ends with the goroutine
		return fmt.Errorf("--numa-node auto: %w; off binds no worker", err)
	}
	cmd.SysProcAttr = childAttr()
	return cmd.Run()
}
