package cpu

// thread is one worker of the pool and its memory for partial results, which grows to
// what the largest op needed. It is a kernels.Thread.
type thread struct {
	v        *variant
	index    int
	product  []float32
	gate     []float32 // sums of a gate, while what it is multiplied by is computed
	unpacked []byte    // groups of quantized weights
	attn     attnScratch
	row      []float32
	squares  [16]float64
}

// Index implements kernels.Thread.
func (t *thread) Index() int { return t.index }

// SoftCap implements kernels.Thread.
func (t *thread) SoftCap(x []float32, limit float32) { t.v.softCap(x, 1, limit) }

// ExpSum implements kernels.Thread. The exponentials are exp32's, summed in float64 in 8
// lanes (element i in lane i mod 8), the lanes pairwise. NaN is not the maximum of
// anything but makes the sum NaN; -Inf alone sums to 0.
func (t *thread) ExpSum(x []float32) (maximum, sum float32) {
	t.row = grow(t.row, len(x)+8)
	copy(t.row, x)
	return t.v.softmax(t.row[:len(x)], 1, &t.attn.lanes)
}

// grow returns s with at least n elements, whose values are arbitrary.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
