package registry

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sullae/sullae/kernels/tree"
)

// Errors of generations.
var (
	// ErrNoGeneration is of a group that never had one.
	ErrNoGeneration = errors.New("no generation")
	// ErrConflict is of a write that another one came before. Nothing was
	// written; reading again and deciding anew is right.
	ErrConflict = errors.New("the generation changed meanwhile")
	// ErrFenced is of an order that does not belong to the current generation.
	ErrFenced = errors.New("not of the current generation")
)

// Generation is one formation of a group: which workers are its ranks, under
// which epoch. It is written before any of them is asked to do anything.
type Generation struct {
	Group string `json:"group"`
	// Epoch is larger than that of all generations of the group before.
	Epoch        uint64 `json:"epoch"`
	Model        string `json:"model"`
	CheckpointID string `json:"checkpoint_id"`
	Leader       string `json:"leader"` // the coordinator that wrote it
	// Ranks, by rank. Empty in a generation that has ended.
	Ranks []GenerationRank `json:"ranks"`
	// Drained are the workers that operators keep out, so that the next leader does,
	// too.
	Drained []string `json:"drained,omitempty"`
	// TokenHash is HashToken of the epoch's token; the token itself goes to
	// the ranks only.
	TokenHash     string `json:"token_hash"`
	CreatedUnixMs int64  `json:"created_unix_ms"`
	// Ended is set when the group was dissolved and not formed again. The
	// record stays, so that the epoch goes on growing.
	Ended bool `json:"ended,omitempty"`
}

// GenerationRank is one rank of a generation.
type GenerationRank struct {
	WorkerID string `json:"worker_id"`
	Address  string `json:"address"`
	Share    Share  `json:"share"`
	// Pace is the worker's measured speed, relative to most; 0: not known.
	Pace float64 `json:"pace,omitempty"`
}

// Share is a rank's part of the model, in leaves; plan.Share converts to it.
type Share struct {
	Heads tree.Range `json:"heads"`
	MLP   tree.Range `json:"mlp"`
	Vocab tree.Range `json:"vocab"`
}

// HashToken is the form in which an epoch's token is written: the SHA-256 of
// it, in hex.
func HashToken(token []byte) string {
	sum := sha256.Sum256(token)
	return hex.EncodeToString(sum[:])
}

// Admits tells whether a worker may obey an order to be a rank of an epoch:
// the order must be of this generation, the current record, and carry its token.
// The error is ErrFenced and says what differs.
func (g Generation) Admits(epoch uint64, rank int, workerID string, token []byte) error {
	switch {
	case g.Ended:
		return fmt.Errorf("group %s, epoch %d: %w: the group has ended with epoch %d", g.Group, epoch, ErrFenced, g.Epoch)
	case epoch != g.Epoch:
		return fmt.Errorf("group %s, epoch %d: %w: the epoch is %d, written by coordinator %s", g.Group, epoch, ErrFenced, g.Epoch, g.Leader)
	case rank < 0 || rank >= len(g.Ranks):
		return fmt.Errorf("group %s, epoch %d: %w: no rank %d among %d", g.Group, epoch, ErrFenced, rank, len(g.Ranks))
	case g.Ranks[rank].WorkerID != workerID:
		return fmt.Errorf("group %s, epoch %d: %w: rank %d is worker %s, not %s", g.Group, epoch, ErrFenced, rank, g.Ranks[rank].WorkerID, workerID)
	case subtle.ConstantTimeCompare([]byte(HashToken(token)), []byte(g.TokenHash)) != 1:
		return fmt.Errorf("group %s, epoch %d: %w: wrong token", g.Group, epoch, ErrFenced)
	}
	return nil
}

// RankOf is the rank of a worker, -1 if it has none.
func (g Generation) RankOf(workerID string) int {
	for i, r := range g.Ranks {
		if r.WorkerID == workerID {
			return i
		}
	}
	return -1
}

// validate tells what no generation may be.
func (g Generation) validate() error {
	if err := checkName("group", g.Group); err != nil {
		return err
	}
	if g.Epoch == 0 {
		return fmt.Errorf("registry: group %s has epoch 0", g.Group)
	}
	if g.Ended {
		return nil
	}
	if len(g.Ranks) == 0 {
		return fmt.Errorf("registry: group %s has no ranks", g.Group)
	}
	if b, err := hex.DecodeString(g.TokenHash); err != nil || len(b) != sha256.Size {
		return fmt.Errorf("registry: group %s: the token's hash is not a SHA-256 in hex", g.Group)
	}
	for i, r := range g.Ranks {
		if r.WorkerID == "" || r.Address == "" {
			return fmt.Errorf("registry: group %s, rank %d has no worker or no address", g.Group, i)
		}
		if g.RankOf(r.WorkerID) != i {
			return fmt.Errorf("registry: group %s: worker %s has two ranks", g.Group, r.WorkerID)
		}
	}
	return nil
}

// decodeGeneration is decode, and checks that the record is the group's.
func decodeGeneration(group string) func(key string, value []byte) (Generation, error) {
	return func(key string, value []byte) (Generation, error) {
		g, err := decode[Generation](key, value)
		if err == nil && g.Group != group {
			return g, fmt.Errorf("registry: %s: %w: the record is of group %q", key, ErrMalformed, g.Group)
		}
		return g, err
	}
}
