package node

import (
	"context"
	"hash/crc32"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective/registry"
	"github.com/sullae/sullae/kernels"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
	"github.com/sullae/sullae/shard/packcache"
	"github.com/sullae/sullae/worker/engine"
	"github.com/sullae/sullae/worker/remote"
)

// unitChunk is the size of a message with a part of a unit; a variable for tests.
var unitChunk = 256 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// units serves the packed units of the shares in memory, and of the pack cache, to
// other workers. It implements clusterv1.WeightServiceServer.
type units struct {
	clusterv1.UnimplementedWeightServiceServer
	backend kernels.Backend
	cache   *packcache.Cache // nil: none
	last    atomic.Int64     // when a unit was asked for, in Unix nanoseconds

	mu         sync.RWMutex // held while a unit is made; locked, none is
	checkpoint string
	models     []*engine.Model
}

// hold says which shares are served from now on. When it returns others may be
// freed.
func (u *units) hold(checkpointID string, models ...*engine.Model) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.checkpoint, u.models = checkpointID, models
}

// Holdings implements WeightService.
func (u *units) Holdings(_ context.Context, req *clusterv1.HoldingsRequest) (*clusterv1.HoldingsResponse, error) {
	u.last.Store(time.Now().UnixNano())
	res := &clusterv1.HoldingsResponse{}
	st, ok := u.backend.(kernels.Storer)
	u.mu.RLock()
	defer u.mu.RUnlock()
	if !ok || req.CheckpointId != u.checkpoint || req.Layout != st.Layout() || len(u.models) == 0 {
		return res, nil
	}
	for _, m := range u.models {
		if m.Format().String() != req.Format {
			continue
		}
		for kind, r := range m.Holds() {
			res.Ranges = append(res.Ranges, &clusterv1.HoldingsResponse_Range{Kind: kind, Lo: int32(r.Lo), Hi: int32(r.Hi)})
		}
	}
	return res, nil
}

// FetchUnit implements WeightService.
func (u *units) FetchUnit(req *clusterv1.FetchUnitRequest, stream clusterv1.WeightService_FetchUnitServer) error {
	key := packcache.Key{Checkpoint: req.CheckpointId, Layout: req.Layout, Format: req.Format, Layer: int(req.Layer), Kind: req.Kind, Index: int(req.Index)}
	data, err := u.unit(key)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	if data == nil {
		return status.Errorf(codes.NotFound, "this worker has no unit %+v", key)
	}
	if req.Offset < 0 || req.Offset > int64(len(data)) {
		return status.Errorf(codes.InvalidArgument, "offset %d in a unit of %d bytes", req.Offset, len(data))
	}
	for at := int(req.Offset); at < len(data); {
		u.last.Store(time.Now().UnixNano())
		part := data[at:min(at+unitChunk, len(data))]
		if err := stream.Send(&clusterv1.FetchUnitResponse{Offset: int64(at), Data: part, Crc32C: crc32.Checksum(part, castagnoli), Total: int64(len(data))}); err != nil {
			return err
		}
		at += len(part)
	}
	return nil
}

// unit is a unit as the bytes of its file; nil if it is not here.
func (u *units) unit(k packcache.Key) ([]byte, error) {
	if st, ok := u.backend.(kernels.Storer); ok {
		u.mu.RLock()
		defer u.mu.RUnlock()
		for _, m := range u.models {
			if k.Checkpoint != u.checkpoint {
				break
			}
			if data, err := m.Unit(st, k); data != nil || err != nil {
				return data, err
			}
		}
	}
	if u.cache != nil {
		if unit := u.cache.Get(k); unit != nil {
			defer unit.Close()
			return append([]byte(nil), unit.Bytes()...), nil
		}
	}
	return nil, nil
}

// handOver waits while other workers load from this one: until nobody has asked
// for a unit for a moment, none is left that stays, or ctx ends. workers are those
// that are registered (registry.WatchWorkers).
func (u *units) handOver(ctx context.Context, self string, workers <-chan []registry.Worker) {
	const moment = 500 * time.Millisecond
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for last := time.Now(); time.Since(last) < moment; {
		select {
		case list, ok := <-workers:
			stays := func(w registry.Worker) bool { return w.ID != self && w.State != registry.Draining }
			if !ok || !slices.ContainsFunc(list, stays) {
				return
			}
		case <-tick.C:
			if asked := time.Unix(0, u.last.Load()); asked.After(last) {
				last = asked
			}
		case <-ctx.Done():
			return
		}
	}
}

// findPeers asks the other workers of an epoch, and those that it names beside
// them, what they hold. The function closes their connections.
func (s *service) findPeers(ctx context.Context, req *clusterv1.PrepareRequest, format kernels.Format) (*remote.Peers, func()) {
	st, ok := s.backend.Backend.(kernels.Storer)
	if !ok {
		return nil, func() {}
	}
	addresses := append([]string(nil), req.Holders...)
	for r, p := range req.Ranks {
		if r != int(req.Rank) {
			addresses = append(addresses, p.Address)
		}
	}
	var peers []*remote.Peer
	var conns []*grpc.ClientConn
	for _, addr := range addresses {
		conn, err := grpc.NewClient("passthrough:///"+addr, append(s.security.DialOptions(), grpc.WithInitialWindowSize(16<<20), grpc.WithInitialConnWindowSize(64<<20))...)
		if err != nil {
			continue // the links will say
		}
		conns = append(conns, conn)
		peers = append(peers, &remote.Peer{Name: addr, Client: clusterv1.NewWeightServiceClient(conn)})
	}
	return remote.FindPeers(ctx, peers, req.CheckpointId, st.Layout(), format.String(), s.log), func() {
		for _, c := range conns {
			c.Close()
		}
	}
}
