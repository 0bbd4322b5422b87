package cpu

// Probes do nothing but use up one of the machine's limits, on all threads of a
// backend. Each call returns the work done; the caller holds the clock. A probe
// that the variant has no instruction for is nil.
type Probes struct {
	Read  func() float64 // bytes read from memory
	FMA   func() float64 // float32 operations
	Int8  func() float64 // integer operations as 8-bit weights need them
	Int4  func() float64 // and 4-bit ones
	Close func()
}

// probeBytes is what each thread reads: more than its caches hold.
const probeBytes = 128 << 20

// Probes reserves memory to read from.
func (b *Backend) Probes() (*Probes, error) {
	mem, err := newRegion(probeBytes * b.pool.threads)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(mem.data); i += 4096 {
		mem.data[i] = 1
	}
	// Each thread takes one of as many parts: with longer ones none is left over
	// for a thread that wakes late.
	all := func(units float64, f func(part int)) func() float64 {
		return func() float64 {
			b.pool.run(b.pool.threads, 1, func(_, lo, hi int) {
				for i := lo; i < hi; i++ {
					f(i)
				}
			})
			return units * float64(b.pool.threads)
		}
	}
	p := &Probes{
		Read:  all(probeBytes, func(i int) { readMemory(mem.data[i*probeBytes:][:probeBytes]) }),
		Close: mem.Free,
	}
	b.v.probe(p, all)
	return p, nil
}

// readPortable reads a word of every line.
func readPortable(b []byte) {
	sum := byte(0)
	for i := 0; i < len(b); i += lineBytes {
		sum |= b[i]
	}
	if sum == 255 {
		b[0] = sum // never so, but the loop must stay
	}
}
