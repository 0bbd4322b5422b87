package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
)

// sampleBytes of every tensor, from its middle, enter the ID.
const sampleBytes = 4096

// identity computes a checkpoint's ID: SHA-256 over config.json, each file's
// size and header, and a sample of each tensor's bytes. The sample tells two
// fine-tunings of one model apart, whose headers are the same; it costs one
// page of reading for each tensor. The ID does not prove that two checkpoints
// are equal, only that they are meant to be.
type identity struct{ h hash.Hash }

func newIdentity(config []byte) *identity {
	id := &identity{sha256.New()}
	id.part([]byte("sullae checkpoint 1"))
	id.part(config)
	return id
}

// part adds bytes behind their length, so that no two lists of parts collide.
func (id *identity) part(p []byte) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(p)))
	id.h.Write(n[:])
	id.h.Write(p)
}

func (id *identity) header(text []byte, size int64) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(size))
	id.part(n[:])
	id.part(text)
}

// finish adds the samples, in the order of names.
func (id *identity) finish(c *Checkpoint) (string, error) {
	var buf [sampleBytes]byte
	for _, name := range slices.Sorted(maps.Keys(c.data)) {
		at := c.data[name]
		n := min(at.End-at.Begin, sampleBytes)
		if err := at.blob.read(buf[:n], at.off+(at.End-at.Begin-n)/2); err != nil {
			return "", err
		}
		id.part(buf[:n])
	}
	return hex.EncodeToString(id.h.Sum(nil)), nil
}
