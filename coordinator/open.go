package coordinator

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sullae/sullae/collective/member"
	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/coordinator/embedetcd"
	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/group"
	demomodel "github.com/sullae/sullae/deploy/demo-model"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/ops/tracing"
	"github.com/sullae/sullae/shard/checkpoint"
)

// gossipLeave is how long the goodbye in gossip may take.
const gossipLeave = 500 * time.Millisecond

// DemoModel is the name of the built-in model.
const DemoModel = "demo"

// OpenModel opens a model's folder, or the built-in model.
func OpenModel(model string) (*checkpoint.Checkpoint, error) {
	if model == "" || model == DemoModel {
		return checkpoint.OpenFS(demomodel.Files(), DemoModel)
	}
	return checkpoint.Open(model)
}

func (c *coordinator) openTraces(ctx context.Context) (err error) {
	cfg := c.cfg.Tracing
	cfg.Service, cfg.Version, cfg.Instance = "sullae-coordinator", c.cfg.Version, c.cfg.ID
	if c.traces, err = tracing.Start(ctx, cfg, c.cfg.Logger); err != nil || c.traces == nil {
		return err
	}
	c.tracer = c.traces.Tracer()
	c.later(c.traces.Close)
	return nil
}

func (c *coordinator) openModel(context.Context) (err error) {
	if c.ckpt, err = OpenModel(c.cfg.Model); err != nil {
		return err
	}
	c.later(func() { c.ckpt.Close() })
	if stored := c.ckpt.Quantized(); stored != "" && c.cfg.Quant != kernels.AsStored {
		return fmt.Errorf("--quant %v: the weights of %s are quantized already (%s), and are used as they are: leave --quant out, or take an unquantized checkpoint", c.cfg.Quant, c.ckpt.Name(), stored)
	}
	name := c.cfg.ServedName
	if name == "" {
		if abs, err := filepath.Abs(c.ckpt.Name()); err == nil {
			name = strings.TrimSuffix(filepath.Base(abs), ".gguf")
		}
	}
	spec := c.ckpt.Spec()
	c.model = gateway.Model{Name: name, Architecture: spec.Architecture, Created: c.start, MaxLen: spec.MaxPositions, Vocab: spec.Vocab, EOS: spec.EOS}
	if c.cfg.MaxQueuedTokens == 0 {
		c.cfg.MaxQueuedTokens = 64 * spec.MaxPositions
	}
	if err := c.model.ReadText(c.ckpt.FS()); err != nil {
		return fmt.Errorf("%s: %w", c.ckpt.Name(), err)
	}
	return nil
}

func (c *coordinator) listen(context.Context) (err error) {
	for _, l := range []struct {
		flag, addr string
		to         *net.Listener
	}{{"--http", c.cfg.HTTPAddr, &c.httpL}, {"--grpc", c.cfg.GRPCAddr, &c.grpcL}, {"--cluster", c.cfg.ClusterAddr, &c.clusterL}} {
		if *l.to, err = listen(l.flag, l.addr); err != nil {
			return err
		}
		c.later(func() { (*l.to).Close() })
	}
	return nil
}

func (c *coordinator) openEtcd(ctx context.Context) error {
	cfg := c.cfg.Etcd
	if len(cfg.Endpoints) == 0 {
		srv, err := embedetcd.Start(ctx, embedetcd.Config{Dir: c.cfg.EtcdDir, ClientAddr: c.cfg.EtcdListen, Logger: c.cfg.Logger.With("part", "etcd")})
		if err != nil {
			return err
		}
		c.later(func() { srv.Close() })
		cfg.Endpoints = srv.Endpoints()
	}
	reg, err := registry.Open(ctx, cfg)
	if err != nil {
		return err
	}
	c.reg = reg
	c.later(func() { reg.Close() })
	if c.cfg.OnEtcd != nil {
		c.cfg.OnEtcd(cfg.Endpoints)
	}
	return nil
}

func (c *coordinator) joinCluster(ctx context.Context) error {
	bind, port, err := member.SplitAddr(c.cfg.GossipAddr)
	if err != nil {
		return err
	}
	g, err := member.Start(member.Config{Name: c.cfg.ID, BindAddr: bind, BindPort: port, Advertise: c.cfg.Advertise, Key: c.cfg.GossipKey, Cluster: c.cfg.Etcd.Cluster, Logger: c.cfg.Logger})
	if err != nil {
		return err
	}
	c.gossip, c.view = g, member.NewView(g)
	c.later(func() { g.Leave(gossipLeave) })
	host, _ := os.Hostname()
	c.record, err = c.reg.RegisterCoordinator(ctx, registry.Coordinator{
		ID: c.cfg.ID, Address: c.reachable(c.clusterL), GossipAddress: g.Self().Addr,
		GRPCAddress: c.reachable(c.grpcL), HTTPAddress: c.reachable(c.httpL), ForwardKey: c.forwardKey,
		Serves:  fmt.Sprintf("checkpoint %.12s, --quant %v, --kv-type %v", c.ckpt.ID(), c.cfg.Quant, c.cfg.KVType),
		Version: c.cfg.Version, ProtocolVersion: group.ProtocolVersion, Hostname: host, PID: os.Getpid(), StartedUnixMs: c.start.UnixMilli(),
	})
	if err != nil {
		return err
	}
	c.later(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		c.record.Close(ctx)
	})
	return nil
}

func (c *coordinator) reachable(l net.Listener) string {
	return c.reachableAddr(l.Addr())
}

func (c *coordinator) reachableAddr(a net.Addr) string {
	return member.Reachable(a, c.cfg.Advertise)
}
