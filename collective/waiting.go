package collective

import (
	"errors"
	"fmt"
)

// Unreachable is the end of an epoch whose rank waits for a peer that it cannot
// reach. It is an ErrPeerLost.
type Unreachable struct {
	Rank int
	Why  string // for people
}

func (u *Unreachable) Error() string {
	return fmt.Sprintf("rank %d cannot be reached: %s", u.Rank, u.Why)
}

// Is makes it an ErrPeerLost.
func (u *Unreachable) Is(target error) bool { return target == ErrPeerLost }

// Waiting are the peers that the collective in progress waits for now.
func (g *Group) Waiting() (peers []int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch b := &g.blocked; {
	case b.since.IsZero() || g.err != nil:
	case b.to >= 0:
		peers = append(peers, b.to)
	default:
		for p, n := range b.peers {
			if n && g.inboxes[p].empty() {
				peers = append(peers, p)
			}
		}
	}
	return peers
}

// Lose ends the epoch because a peer cannot be reached, unless it has ended.
func (g *Group) Lose(u *Unreachable) { g.fail(g.errorf("%w", u)) }

// UnreachableRank is the peer that an epoch's end names as unreachable, or -1.
func UnreachableRank(err error) int {
	if u, ok := errors.AsType[*Unreachable](err); ok {
		return u.Rank
	}
	return -1
}
