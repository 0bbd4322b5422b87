package measure

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/sullae/sullae/collective"
	grpclink "github.com/sullae/sullae/collective/link/grpc"
	memlink "github.com/sullae/sullae/collective/link/mem"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/kernels/cuda"
)

// machine is what a model is measured on: a backend for each rank, and the limits of
// what they share.
type machine struct {
	ranks  []kernels.Backend
	limits func() Limits
	// timeCopies times rank 0's copies between device and host until stop is called;
	// nil where there are none.
	timeCopies func() (stop func() time.Duration)
	close      []func()
	err        error // of measuring limits
}

func (m *machine) shut() {
	for i := len(m.close) - 1; i >= 0; i-- {
		m.close[i]()
	}
}

// newMachine opens the backends: of the CPU, or, where gpu is not nil, of a GPU.
func newMachine(cfg cpu.Config, gpu *cuda.Config, ranks int) (_ *machine, err error) {
	m := &machine{}
	defer func() {
		if err != nil {
			m.shut()
		}
	}()
	for r := range ranks {
		if gpu == nil {
			b, err := cpu.New(cfg)
			if err != nil {
				return nil, err
			}
			m.ranks, m.close = append(m.ranks, b), append(m.close, func() { b.Close() })
			if r == 0 {
				probe, err := newProber(b)
				if err != nil {
					return nil, err
				}
				m.limits, m.close = probe.now, append(m.close, probe.close)
			}
			continue
		}
		b, err := cuda.New(*gpu)
		if err != nil {
			return nil, err
		}
		m.ranks, m.close = append(m.ranks, b), append(m.close, func() { b.Close() })
		if r == 0 {
			m.limits, m.timeCopies = m.gpuLimits(b), b.TimeCopies
		}
	}
	return m, nil
}

// probeBytes of a GPU's memory are copied to measure it.
const probeBytes = 1 << 30

func (m *machine) gpuLimits(b *cuda.Backend) func() Limits {
	return func() Limits {
		l, err := b.Limits(int(min(probeBytes, b.FreeMemory()/8)) &^ 255)
		if err != nil {
			m.err = fmt.Errorf("limits of %s: %w", b.DeviceName(), err)
		}
		return Limits{Threads: 1, Read: l.Copy, FMA: l.F32, Int8: l.Int8, Int4: l.Int8,
			GPU: &GPULimits{Products: b.Products(), BF16: l.BF16, MMA: l.MMA, ToDevice: l.In, ToHost: l.Out, Launch: l.Launch, GraphLaunch: l.GraphLaunch}}
	}
}

// join links the ranks: more than one over gRPC on the loopback.
func (m *machine) join(ctx context.Context) ([]collective.Communicator, error) {
	n := len(m.ranks)
	if n == 1 {
		return []collective.Communicator{memlink.NewGroup(1)[0]}, nil
	}
	hubs, peers := make([]*grpclink.Hub, n), make([]string, n)
	for r := range n {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		hub, server := grpclink.NewHub(grpclink.HubOptions{}), grpc.NewServer(grpclink.ServerOptions()...)
		hub.Register(server)
		go server.Serve(lis)
		m.close = append(m.close, server.Stop, func() { hub.Close() })
		hubs[r], peers[r] = hub, lis.Addr().String()
	}
	comms := make([]collective.Communicator, n)
	joining, ctx := errgroup.WithContext(ctx)
	for r := range n {
		joining.Go(func() (err error) {
			comms[r], err = hubs[r].Join(ctx, grpclink.Formation{Group: "bench", Epoch: 1, Rank: r, WorldSize: n, Peers: peers})
			return err
		})
	}
	return comms, joining.Wait()
}
