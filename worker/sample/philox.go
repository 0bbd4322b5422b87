package sample

import "math/bits"

// philox is Philox4x32-10.
// After: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
func philox(ctr [4]uint32, key [2]uint32) [4]uint32 {
	const m0, m1 = 0xD2511F53, 0xCD9E8D57
	const w0, w1 = 0x9E3779B9, 0xBB67AE85
	c0, c1, c2, c3, k0, k1 := ctr[0], ctr[1], ctr[2], ctr[3], key[0], key[1]
	for range 10 {
		p0, p1 := m0*uint64(c0), m1*uint64(c2)
		c0, c1, c2, c3 = uint32(p1>>32)^c1^k0, uint32(p1), uint32(p0>>32)^c3^k1, uint32(p0)
		k0 += w0
		k1 += w1
	}
	return [4]uint32{c0, c1, c2, c3}
}

// maxGumbel bounds the noise from above: -ln(-ln(u)) at the largest u.
const maxGumbel = 22.9

// noise is the gumbel of tokens at one position: -ln(-ln(u)), u uniform in (0, 1) on a
// grid of 2^-32.
type noise struct {
	seed     [2]uint32
	position uint32
}

func newNoise(seed uint64, position int) noise {
	return noise{[2]uint32{uint32(seed), uint32(seed >> 32)}, uint32(position)}
}

// group is the random bits of the four tokens that share a philox block with one, and
// which of them that is.
func (n noise) group(id int32) (bits [4]uint32, at int) {
	return philox([4]uint32{uint32(id) >> 2, n.position, 0, 0}, n.seed), int(id & 3)
}

func gumbelOf(bits uint32) float64 {
	u := (float64(bits) + 0.5) * (1.0 / (1 << 32))
	return -ln(-ln(u))
}

// noiseBound is not below gumbelOf, and spares its logarithms: noise grows with the
// random bits, and so is bounded by their leading ones.
func noiseBound(r uint32) float64 { return gumbelBounds[bits.LeadingZeros32(^r)] }

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
