package cpu

import "math/bits"

// leafRun is how many leaves from leaf on, and before end, variant.gemmLeaves sums in
// one call for n rows: of one length, and together no more than a block; 0: none.
func (m *matmul) leafRun(leaf, end, n int) int {
	k0, k := m.w.leaves[leaf], m.w.leaves[leaf+1]-m.w.leaves[leaf]
	if m.v.gemmLeaves == nil || m.quant != nil || m.w.coded != nil || k0%2 != 0 || k%2 != 0 {
		return 0
	}
	most := m.step(n, m.w.leaves[end]-k0) / k
	run := min(1, most)
	for run > 0 && run < most && leaf+run < end && m.w.leaves[leaf+run+1]-m.w.leaves[leaf+run] == k {
		run++
	}
	return run
}

// leafBlock sums a run of leaves of a node, of whose leaves done are in partial, and
// gives the subtrees that are in it then.
func (m *matmul) leafBlock(partial []float32, ldc, r0, n, p0, p1, leaf, run, done int) int {
	d, x, k0 := m.w.spec.DType, m.w.spec.K, m.w.leaves[leaf]
	k := m.w.leaves[leaf+1] - k0
	tiles := (n + maxTileRows - 1) / maxTileRows
	for t := range tiles {
		r := n * t / tiles
		rows := n*(t+1)/tiles - r
		for p := p0; p < p1; p++ {
			ahead := 0 // the panel's next block is fetched in the course of one tile
			if p%tiles == t {
				ahead = place(run*k, 0, d)
			}
			panel := m.w.mem.data[p*m.w.panelBytes : (p+1)*m.w.panelBytes]
			m.v.gemmLeaves(d, partial[r*ldc+(p-p0)*panelWidth:], n*ldc, ldc, m.x[(r0+r)*x+k0:], x,
				panel[place(k0, 0, d):], rows, k, run, done, ahead)
		}
	}
	return bits.OnesCount(uint(done + run))
}
