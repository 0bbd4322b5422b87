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
	r := philox([4]uint32{uint32(id) >> 2, uint32(position), 0, 0}, [2]uint32{uint32(seed), uint32(seed >> 32)})
	u := (float64(r[id&3]) + 0.5) * (1.0 / (1 << 32))
	return -ln(-ln(u))
}
