package sample

import "math/bits"

// philox is Philox4x32-10.
// After: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
func philox(ctr [4]uint32, key [2]uint32) [4]uint32 {
	const m0, m1 = 0xD2511F53, 0xCD9E8D57
	const w0, w1 = 0x9E3779B9, 0xBB67AE85
	for range 10 {
		hi0, lo0 := bits.Mul32(m0, ctr[0])
		hi1, lo1 := bits.Mul32(m1, ctr[2])
		ctr = [4]uint32{hi1 ^ ctr[1] ^ key[0], lo1, hi0 ^ ctr[3] ^ key[1], lo0}
		key[0] += w0
		key[1] += w1
	}
	return ctr
}

// maxGumbel bounds the noise from above: -ln(-ln(u)) at the largest u.
const maxGumbel = 22.9

// gumbel is the noise of a token at a position: -ln(-ln(u)), u uniform in
// (0, 1) on a grid of 2^-32.
func gumbel(seed uint64, position int, id int32) float64 {
	n := newNoise(seed, position)
	return n.of(id)
}

func gumbelOf(r uint32) float64 {
	u := (float64(r) + 0.5) * (1.0 / (1 << 32))
	return -ln(-ln(u))
}

// noise is the gumbel of many tokens at one position. Four tokens share a philox
// block, and the last one is kept.
type noise struct {
	seed     [2]uint32
	position uint32
	block    uint32 // id >> 2 of the four
	r        [4]uint32
}

func newNoise(seed uint64, position int) noise {
	return noise{seed: [2]uint32{uint32(seed), uint32(seed >> 32)}, position: uint32(position), block: ^uint32(0)}
}

func (n *noise) bits(id int32) uint32 {
	if b := uint32(id) >> 2; b != n.block {
		n.block, n.r = b, philox([4]uint32{b, n.position, 0, 0}, n.seed)
	}
	return n.r[id&3]
}

func (n *noise) of(id int32) float64 { return gumbelOf(n.bits(id)) }

// bound is not below of(id), and spares its logarithms: noise grows with the
// random bits, and so is bounded by their leading ones.
func (n *noise) bound(id int32) float64 { return gumbelBounds[bits.LeadingZeros32(^n.bits(id))] }

// gumbelBounds has, by the number of leading ones, the noise of the largest bits
// with as many, and a little more than ln may be off.
var gumbelBounds = func() (b [33]float64) {
	for ones := range b {
		largest := ^uint32(0)
		if ones < 32 {
			largest = ^(1 << (31 - ones))
		}
		b[ones] = gumbelOf(largest) + 1e-9
	}
	return b
}()
