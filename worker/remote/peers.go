package remote

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/kernels/tree"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/packcache"
)

// Bounds of what is asked of other workers: where one does not answer in time, the
// next is asked, and the coordinator has everything.
const (
	holdingsTimeout = 250 * time.Millisecond
	unitTimeout     = time.Second
	maxUnit         = 1 << 30 // bytes
)

// Peer is a worker that may hold units.
type Peer struct {
	Name   string
	Client clusterv1.WeightServiceClient

	holds map[string][]tree.Range // by kind of unit
	gone  atomic.Bool             // it failed; it is asked no more
}

// Peers are other workers of the cluster, as places to load packed units from. Each
// transfer is checked by CRC-32C, and taken up at another peer where it broke.
type Peers struct {
	peers []*Peer
	log   *slog.Logger
}

// FindPeers asks workers what they hold of a checkpoint, as it is packed here.
// Those that don't answer hold nothing.
func FindPeers(ctx context.Context, peers []*Peer, checkpointID, layout, format string, log *slog.Logger) *Peers {
	ctx, cancel := context.WithTimeout(ctx, holdingsTimeout)
	defer cancel()
	answers := make(chan *Peer, len(peers))
	for _, p := range peers {
		go func() {
			res, err := p.Client.Holdings(ctx, &clusterv1.HoldingsRequest{CheckpointId: checkpointID, Layout: layout, Format: format})
			if err != nil {
				log.Debug("no units of a peer", "peer", p.Name, "err", err)
			}
			p.holds = map[string][]tree.Range{}
			for _, r := range res.GetRanges() {
				p.holds[r.Kind] = append(p.holds[r.Kind], tree.Range{Lo: int(r.Lo), Hi: int(r.Hi)})
			}
			answers <- p
		}()
	}
	out := &Peers{log: log}
	for range peers {
		if p := <-answers; len(p.holds) > 0 {
			out.peers = append(out.peers, p)
		}
	}
	return out
}

// Unit implements engine.Peers.
func (s *Peers) Unit(ctx context.Context, k packcache.Key) *packcache.Unit {
	var data []byte
	done := 0
	for i := range s.peers {
		p := s.peers[(i+k.Index)%len(s.peers)] // not all from the same one
		if p.gone.Load() || !slices.ContainsFunc(p.holds[k.Kind], func(r tree.Range) bool { return k.Index >= r.Lo && k.Index < r.Hi }) {
			continue
		}
		var err error
		if done, err = p.fetch(ctx, k, &data, done); err == nil {
			u, err := packcache.Decode(k, data)
			if err == nil {
				return u
			}
			s.log.Warn("unit of a peer refused", "peer", p.Name, "unit", k, "err", err)
			data, done = nil, 0
			p.gone.Store(true)
			continue
		}
		if status.Code(err) != codes.NotFound && ctx.Err() == nil {
			s.log.Warn("transfer from a peer broke", "peer", p.Name, "unit", k, "bytes", done, "of", len(data), "err", err)
			p.gone.Store(true)
		}
	}
	return nil
}

// fetch takes a transfer up at byte done and returns how far it came.
func (p *Peer) fetch(ctx context.Context, k packcache.Key, data *[]byte, done int) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(unitTimeout, cancel)
	defer silent.Stop()
	stream, err := p.Client.FetchUnit(ctx, &clusterv1.FetchUnitRequest{CheckpointId: k.Checkpoint, Layout: k.Layout, Format: k.Format,
		Layer: int32(k.Layer), Kind: k.Kind, Index: int32(k.Index), Offset: int64(done)}, grpc.MaxCallRecvMsgSize(maxDescribe))
	if err != nil {
		return done, err
	}
	return receive(func() (chunk, error) {
		m, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		silent.Reset(unitTimeout)
		if *data == nil {
			if m.Total <= 0 || m.Total > maxUnit {
				return nil, status.Errorf(codes.InvalidArgument, "a unit of %d bytes", m.Total)
			}
			*data = make([]byte, m.Total)
		}
		return m, nil
	}, data, done)
}
