package collective

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/sullae/sullae/collective/allreduce"
	"github.com/sullae/sullae/collective/link"
)

// DefaultTimeout is the longest wait for a peer unless Config says otherwise.
const DefaultTimeout = 30 * time.Second

// Config describes one rank of a group in one epoch.
type Config struct {
	Group     string
	Epoch     uint64
	Rank      int
	WorldSize int
	Tuning
}

// Tuning is how a group carries its collectives out. The zero value is good. All
// but Timeout, Add and Spin must be the same on every rank; Settings is compared when
// links are made.
type Tuning struct {
	// Timeout bounds every wait for a peer, in sending and in receiving.
	// 0 means DefaultTimeout.
	Timeout time.Duration
	// Table chooses between one hop and two; nil means allreduce.Default.
	Table allreduce.Table
	// ChunkBytes is the payload of a frame; 0 means allreduce.DefaultChunkBytes.
	ChunkBytes int
	// Add is the vector addition; nil means allreduce.AddGo.
	Add allreduce.Add
	// Spin is how long a wait looks into links that are link.Polled before it sleeps:
	// for ranks that have a processor each.
	Spin time.Duration
}

// Settings is a hash of what all ranks must have in common.
func (t Tuning) Settings() uint64 {
	h, o := fnv.New64a(), t.options()
	fmt.Fprint(h, o.Table, o.ChunkBytes)
	return h.Sum64()
}

func (t Tuning) options() allreduce.Options {
	return allreduce.Options{Table: t.Table, ChunkBytes: t.ChunkBytes}.Resolve()
}

// GroupHash is how frames name a group.
func GroupHash(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

func (c *Config) check(links []link.Link) error {
	switch {
	case c.WorldSize < 1 || c.WorldSize > 1<<15:
		return fmt.Errorf("collective: world size %d", c.WorldSize)
	case c.Rank < 0 || c.Rank >= c.WorldSize:
		return fmt.Errorf("collective: rank %d of %d", c.Rank, c.WorldSize)
	case c.ChunkBytes < 0 || c.ChunkBytes > link.MaxPayloadBytes:
		return fmt.Errorf("collective: chunks of %d bytes, at most %d travel", c.ChunkBytes, link.MaxPayloadBytes)
	case c.WorldSize > 1 && len(links) != c.WorldSize:
		return fmt.Errorf("collective: %d links for %d ranks", len(links), c.WorldSize)
	}
	for p, l := range links {
		if p != c.Rank && l == nil {
			return fmt.Errorf("collective: no link to rank %d", p)
		}
	}
	return nil
}
