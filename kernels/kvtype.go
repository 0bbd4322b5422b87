package kernels

import "fmt"

// KVType is how a KV pool keeps keys and values. Each position's vector of a
// head is rounded by itself when it is written (package reference's RoundKV says
// how, to the bit), so that results depend on the type and on nothing else.
type KVType uint8

// KV types.
const (
	KVF32  KVType = iota
	KVF16         // IEEE binary16: what is beyond ±65504 becomes infinite
	KVBF16        // bfloat16: binary32's range, 8 bits of precision
	KVQ8          // 8-bit integers, one float32 scale for a vector
)

// ElementBytes is the size of one element.
func (t KVType) ElementBytes() int { return [...]int{4, 2, 2, 1}[t] }

// VectorBytes is what a vector of n elements takes, its scale included.
func (t KVType) VectorBytes(n int) int {
	if t == KVQ8 {
		return n + 4
	}
	return n * t.ElementBytes()
}

var kvTypeNames = [...]string{"f32", "f16", "bf16", "q8"}

// String is the type's name on a command line.
func (t KVType) String() string {
	if int(t) < len(kvTypeNames) {
		return kvTypeNames[t]
	}
	return fmt.Sprintf("KVType(%d)", uint8(t))
}

// ParseKVType reads a type's name; "" is KVF32.
func ParseKVType(s string) (KVType, error) {
	if s == "" {
		return KVF32, nil
	}
	for t, name := range kvTypeNames {
		if name == s {
			return KVType(t), nil
		}
	}
	return 0, fmt.Errorf("KV type %q is not known; known: f32, f16, bf16, q8", s)
}
