package synth

import (
	"encoding/binary"
	"hash/fnv"
	"math"

	"github.com/sullae/sullae/kernels/tensor"
	"github.com/sullae/sullae/shard/model"
)

// stream is the random values of one tensor: value i is
// mean + deviation * z(i), z(i) near normal.
type stream struct {
	key             uint64
	mean, deviation float32
}

// newStream is the stream of a tensor with the given role. Matrices are scaled
// by 1/sqrt(inputs), so that activations keep their size through any number of
// layers; the embedding has deviation 1, the head 3/sqrt(inputs), which gives
// logits that differ clearly. Norms multiply by about 1.
func newStream(seed uint64, name string, role model.Role, s *model.Spec) stream {
	h := fnv.New64a()
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	h.Write(b[:])
	h.Write([]byte(name))
	st := stream{key: mix(h.Sum64())}
	_, inputs := s.Shape(role)
	switch {
	case role.Norm():
		st.mean, st.deviation = 1-s.NormOffset, 0.05
	case inputs == 0: // a bias
		st.deviation = 0.3
	case role == model.Embed && !s.Tied:
		st.deviation = 1
	case role == model.Embed || role == model.Head:
		st.deviation = float32(3 / math.Sqrt(float64(inputs)))
	default:
		st.deviation = float32(1 / math.Sqrt(float64(inputs)))
	}
	return st
}

// mix is a bijection that spreads every bit of z over all of the result.
// After: Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
// 2014 (SplitMix64).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

const (
	golden = 0x9E3779B97F4A7C15 // 2^64 / golden ratio, SplitMix64's step

	// The sum of four uniform 16-bit numbers has this mean and deviation
	// (sqrt(4 * (2^32-1) / 12)), and is near normal out to 3.46 deviations.
	sumMean      = 2 * 0xFFFF
	sumDeviation = 37837.2277
)

// sum4 is the sum of the four 16-bit numbers in x, less its mean.
func sum4(x uint64) int32 {
	const lanes = 0x0000FFFF0000FFFF
	x = x&lanes + x>>16&lanes
	return int32(uint32(x)+uint32(x>>32)) - sumMean
}

// fill writes values [first, first+len(dst)/size) as little-endian values of
// type d. The whole number is exact in float32, so there are two roundings, to
// float32 and to d, the same everywhere.
func (s stream) fill(dst []byte, first uint64, d tensor.DType) {
	scale := float32(float64(s.deviation) / sumDeviation)
	at := s.key + first*golden
	value := func() float32 {
		v := s.mean + float32(float32(sum4(mix(at)))*scale)
		at += golden
		return v
	}
	switch d {
	case tensor.F32:
		for ; len(dst) >= 4; dst = dst[4:] {
			binary.LittleEndian.PutUint32(dst, math.Float32bits(value()))
		}
	case tensor.BF16:
		for ; len(dst) >= 2; dst = dst[2:] {
			u := math.Float32bits(value()) // finite: there is no NaN to keep
			binary.LittleEndian.PutUint16(dst, uint16((u+0x7FFF+u>>16&1)>>16))
		}
	case tensor.F16:
		for ; len(dst) >= 2; dst = dst[2:] {
			binary.LittleEndian.PutUint16(dst, float32ToHalf(value()))
		}
	default:
		panic("synth: fill of " + d.String())
	}
}

// float32ToHalf rounds a finite value below 65504 to IEEE 754 binary16, to
// nearest even.
func float32ToHalf(f float32) uint16 {
	u := math.Float32bits(f)
	sign := uint16(u >> 16 & 0x8000)
	abs := u & 0x7FFFFFFF
	if abs < 0x38800000 { // below 2^-14: a multiple of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(abs))*(1<<24)))
	}
	abs += 0xFFF + abs>>13&1
	return sign | uint16((abs-0x38000000)>>13)
}
