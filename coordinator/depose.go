package coordinator

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// How a coordinator that stands by looks after the one that leads.
const (
	deposeEvery = 100 * time.Millisecond
	// refusals is how many connections in a row the leader's host must refuse, as it
	// does where no process listens.
	refusals = 2
)

// watchLeader deposes a leader that is dead instead of waiting for its lease to
// end, until ctx ends: one whose host refuses connections, or that membership, which
// still hears somebody else, has declared dead.
func (c *coordinator) watchLeader(ctx context.Context) {
	tick := time.NewTicker(deposeEvery)
	defer tick.Stop()
	refused, probing, stop := 0, "", func() {}
	broken := make(chan bool, 1) // the probe's end: whether it was refused
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-broken:
			if probing = ""; r {
				refused++
			} else {
				refused = 0
			}
		case <-tick.C:
		}
		leader, _ := c.peers.get()
		if leader.ID == "" || leader.ID == c.cfg.ID {
			refused = 0
			continue
		}
		if refused >= refusals || c.view.Dead(leader.ID) && len(c.gossip.Alive()) > 1 {
			c.cfg.Logger.Warn("the leader is dead: its leadership is ended", "leader", leader.ID, "refused", refused >= refusals)
			if err := c.reg.Depose(ctx, leader.ID); err != nil {
				c.cfg.Logger.Warn("depose", "err", err) // its lease ends
			}
			refused = 0
			if !sleepFor(ctx, time.Second) {
				return
			}
			continue
		}
		switch probing {
		case "":
			pctx, cancel := context.WithCancel(ctx)
			probing, stop = leader.Address, cancel
			go func() { broken <- probe(pctx, leader.Address); cancel() }()
		case leader.Address:
		default:
			stop() // of another leader
		}
	}
}

// probe keeps a connection to a process, over which nothing is said, and returns
// when it ends: true if it was refused.
func probe(ctx context.Context, addr string) (refused bool) {
	dial := net.Dialer{Timeout: time.Second}
	conn, err := dial.DialContext(ctx, "tcp", addr)
	if err != nil {
		sleepFor(ctx, deposeEvery)
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	_, _ = io.Copy(io.Discard, conn) // its end is all that matters
	return false
}

func sleepFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
