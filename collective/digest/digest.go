// Package digest hashes token sequences, so that coordinator and ranks can tell
// that they speak of the same tokens without sending them again.
package digest

const (
	offset uint64 = 14695981039346656037
	prime  uint64 = 1099511628211
)

// Start is the hash of no tokens.
const Start = offset

// Tokens is FNV-1a (64 bit) over the tokens' little-endian bytes, going on from h.
func Tokens(h uint64, tokens ...int32) uint64 {
	for _, t := range tokens {
		for s := 0; s < 32; s += 8 {
			h = (h ^ uint64(uint32(t)>>s&0xff)) * prime
		}
	}
	return h
}
