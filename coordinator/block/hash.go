package block

import (
	"crypto/sha256"
	"encoding/binary"
)

// Hash names the content of a full block: its tokens and all tokens before it,
// and so its keys and values. It is cryptographic because clients choose the
// tokens: whoever found a collision would be answered from another's prompt.
type Hash [sha256.Size]byte

// Root is the hash before the first block.
var Root Hash

// Of names a group of layers' part of the content: groups have blocks of their own.
func (h Hash) Of(group int) Hash {
	h[len(h)-1] ^= byte(group)
	return h
}

// Next is the hash of the block that holds tokens, after the block of h.
func (h Hash) Next(tokens []int32) Hash {
	var room [sha256.Size + 4*64]byte
	buf := append(room[:0], h[:]...)
	for _, t := range tokens {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(t))
	}
	return sha256.Sum256(buf)
}
