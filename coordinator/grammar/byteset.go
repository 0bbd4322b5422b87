package grammar

import "math/bits"

// byteSet is a set of bytes.
type byteSet [4]uint64

func (s *byteSet) add(b byte) { s[b>>6] |= 1 << (b & 63) }

func (s *byteSet) addRange(lo, hi byte) {
	for b := int(lo); b <= int(hi); b++ {
		s.add(byte(b))
	}
}

func (s *byteSet) has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }

// union adds t and says whether s grew.
func (s *byteSet) union(t *byteSet) bool {
	grew := false
	for i := range s {
		grew = grew || t[i]&^s[i] != 0
		s[i] |= t[i]
	}
	return grew
}

// only returns the one byte of a set that has one.
func (s *byteSet) only() (byte, bool) {
	n, at := 0, 0
	for i, w := range s {
		n += bits.OnesCount64(w)
		if w != 0 {
			at = i*64 + bits.TrailingZeros64(w)
		}
	}
	return byte(at), n == 1
}
