package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sullae/sullae/collective/member"
	"github.com/sullae/sullae/ops"
)

// spareAfter is how long a worker must have been without a place in a group to
// count as a spare, which is ready as it is. Before, it may be about to get one.
const spareAfter = 10 * time.Second

// stuckAfter is how long the service's lock may be held before this process counts
// as stuck: what it guards takes microseconds.
const stuckAfter = 20 * time.Second

// ready is nil while this worker does what it is there for: it runs a rank of the
// current epoch, or is a spare.
func (s *service) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r := s.cur; {
	case s.idle.IsZero():
		return errors.New("registering")
	case s.leaving:
		return errors.New("leaving")
	case r == nil && time.Since(s.idle) < spareAfter:
		return errors.New("waiting for a place in a group")
	case r != nil && r.state != "running":
		return fmt.Errorf("rank %d of epoch %d: %s", r.req.Rank, r.req.Epoch, r.state)
	}
	return nil
}

// registered notes that the worker is in etcd, leaving that it goes.
func (s *service) registered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = time.Now()
}

func (s *service) leaves() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
}

// debugRank is what the worker is, for a person.
func (s *service) debugRank() any {
	st, _ := s.GetStatus(context.Background(), nil)
	return st
}

// listenOps binds the port for probes, metrics and /debug/; nil where there is
// none. address is how others reach it.
func listenOps(cfg Config, s *service, m *metrics) (srv *ops.Server, address string, err error) {
	if cfg.OpsAddr == "" {
		return nil, "", nil
	}
	srv, err = ops.Listen(ops.Config{
		Addr: cfg.OpsAddr, Metrics: m.registry, Logger: s.log, Ready: s.ready,
		Started: func() error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.idle.IsZero() {
				return errors.New("registering")
			}
			return nil
		},
		Live:  ops.Stuck(stuckAfter, func() { s.mu.Lock(); s.mu.Unlock() }), //nolint:staticcheck // that it can be taken is all
		Debug: map[string]func() any{"rank": s.debugRank},
	})
	if err != nil {
		return nil, "", err
	}
	return srv, member.Reachable(srv.Addr(), cfg.Advertise), nil
}
