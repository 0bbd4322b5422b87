package node

import (
	"context"
	"errors"
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

// checkFence refuses an epoch that this worker may not obey; registry.Membership
// says which.
func (s *service) checkFence(ctx context.Context, req *clusterv1.PrepareRequest) error {
	fctx, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	gen, err := s.fence.ReadGeneration(fctx, req.Group)
	unseen := err != nil && registry.Away(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	last, err := s.last.Admit(registry.Order{Group: req.Group, Epoch: req.Epoch, Rank: int(req.Rank), WorkerID: s.id,
		Token: req.Token, PreviousToken: req.PreviousToken}, gen, err)
	switch {
	case errors.Is(err, registry.ErrFenced):
		return status.Errorf(codes.FailedPrecondition, "worker %s: %v", s.id, err)
	case err != nil:
		return status.Errorf(codes.Unavailable, "worker %s: %v", s.id, err)
	case unseen:
		s.log.Warn("etcd is away: going on with the same coordinator", "epoch", req.Epoch)
	}
	s.last = last
	return nil
}
