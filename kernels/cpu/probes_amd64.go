//go:build !noasm

package cpu

// probeTurns keep a probe busy for about a hundredth of a second.
const probeTurns = 1 << 20

func readMemory(b []byte) {
	if variants()[0] == portable {
		readPortable(b)
		return
	}
	readProbe(&b[0], len(b))
}

func (v *variant) probe(p *Probes, all func(units float64, f func(part int)) func() float64) {
	switch v.name {
	case "avx512vnni":
		p.FMA = all(384*probeTurns, func(int) { fmaProbe512(probeTurns) })
		p.Int8 = all(1536*probeTurns, func(int) { vnniProbe(probeTurns) })
		p.Int4 = p.Int8
	case "avxvnni":
		p.FMA = all(192*probeTurns, func(int) { fmaProbe(probeTurns) })
		p.Int8 = all(768*probeTurns, func(int) { vnniProbe256(probeTurns) })
		p.Int4 = p.Int8
	case "avx2":
		p.FMA = all(192*probeTurns, func(int) { fmaProbe(probeTurns) })
		p.Int8 = all(256*probeTurns, func(int) { dot3Probe(probeTurns) })
		p.Int4 = all(2048*probeTurns/4, func(int) { dot8Probe(probeTurns / 4) })
	}
}
