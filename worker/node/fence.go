package node

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/collective/registry"
	clusterv1 "github.com/sullae/sullae/proto/sullae/cluster/v1"
)

// Fence reads the generation record of a group: what is written in etcd before
// any worker is asked to do anything. A worker prepares for no other epoch.
type Fence interface {
	ReadGeneration(ctx context.Context, group string) (registry.Generation, error)
}

// fenceTimeout is how long a worker asks etcd before it takes it for away.
const fenceTimeout = time.Second

// checkFence refuses an epoch that is not the one written in etcd. While etcd is
// away a worker goes on with the coordinator that it works for, and with no
// other: that one alone knows the token of the epoch that the worker was in.
// Another coordinator, elected where this worker can't see it, has none of its
// workers until it can see etcd again; so no two ever drive the same worker.
func (s *service) checkFence(ctx context.Context, req *clusterv1.PrepareRequest) error {
	fctx, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	gen, err := s.fence.ReadGeneration(fctx, req.Group)
	switch {
	case err == nil:
		err = gen.Admits(req.Epoch, int(req.Rank), s.id, req.Token)
	case registry.Away(err):
		if err = s.admitUnseen(req); err == nil {
			s.log.Warn("etcd is away: going on with the same coordinator", "epoch", req.Epoch)
		}
	default:
		return status.Errorf(codes.Unavailable, "worker %s: %v", s.id, err)
	}
	if err != nil {
		return status.Errorf(codes.FailedPrecondition, "worker %s: %v", s.id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = membership{req.Group, req.Epoch, req.Token}
	return nil
}

// membership is an epoch that this worker was admitted to.
type membership struct {
	group string
	epoch uint64
	token []byte
}

// admitUnseen decides without etcd.
func (s *service) admitUnseen(req *clusterv1.PrepareRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.group != req.Group || req.Epoch <= s.last.epoch || len(s.last.token) == 0 ||
		subtle.ConstantTimeCompare(s.last.token, req.PreviousToken) != 1 {
		return fmt.Errorf("etcd is away, and epoch %d of group %s does not follow one that this worker was in", req.Epoch, req.Group)
	}
	return nil
}
