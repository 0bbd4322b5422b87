//go:build !noasm && (amd64 || arm64)

package cpu

import (
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/tensor"
)

// The assembly's tiles, and what calls them: it checks that all they touch is
// inside the slices and tells the race detector.

type gemmTile func(c *float32, ldc int, a *float32, lda int, b *byte, k, ahead int)

// gemmTiles are by type and rows.
type gemmTiles [tensor.F16 + 1][maxTileRows + 1]gemmTile

type (
	weighTile func(c *float32, ldc int, a *float32, lda int, v *byte, ldv int, off *int, offs int, n int)
	scoreTile func(c *float32, ldc int, a *float32, lda int, keys, next *[2]*byte, d int)

	// weighTiles are by type and rows, and 0 for one strip or 1 for strips[rows].
	weighTiles [kernels.KVQ8 + 1][maxTileRows + 1][2]weighTile
	// scoreTiles are by type and rows, and 0 for one tile of keys or 1 for two.
	scoreTiles [kernels.KVQ8 + 1][maxTileRows + 1][2]scoreTile
)

type quantGemmTile func(c *float32, ldc int, x, scales, lines *byte, groups, ahead int)

func gemmVec(tiles *gemmTiles, strips *[maxTileRows + 1]int, d tensor.DType, c []float32, ldc int, a []float32, lda int, b []byte, m, p, k, ahead int) {
	if p != strips[m] {
		panic("cpu: gemm: no such tile")
	}
	if k == 0 {
		return
	}
	last := place(k-1, p-1, d) + stripWidth*d.Size() - 1
	_, _, _ = c[(m-1)*ldc+p*stripWidth-1], a[(m-1)*lda+k-1], b[last]
	if raceEnabled {
		raceRead(b[:last+1])
		for r := range m {
			raceRead(a[r*lda:][:k])
			raceWrite(c[r*ldc:][:p*stripWidth])
		}
	}
	tiles[d][m](&c[0], ldc, &a[0], lda, &b[0], k, ahead)
}

func weighVec(tiles *weighTiles, strips *[maxTileRows + 1]int, t kernels.KVType, c []float32, ldc int, a []float32, lda int, v []byte, ldv int, off []int, m, p, n int) {
	if len(off) == 0 || n == 0 {
		return
	}
	size := t.ElementBytes()
	_, _ = c[(m-1)*ldc+p*stripWidth-1], a[(m-1)*lda+len(off)*n-1]
	for _, o := range off {
		raceRead(v[o*size : (o+(n-1)*ldv+p*stripWidth)*size])
	}
	for r := range m {
		raceRead(a[r*lda:][:len(off)*n])
		raceWrite(c[r*ldc:][:p*stripWidth])
	}
	if p == strips[m] && p > 1 {
		tiles[t][m][1](&c[0], ldc, &a[0], lda, &v[0], ldv, &off[0], len(off), n)
		return
	}
	for q := range p {
		tiles[t][m][0](&c[q*stripWidth], ldc, &a[0], lda, &v[q*stripWidth*size], ldv, &off[0], len(off), n)
	}
}

func scoreVec(tiles *[2]scoreTile, t kernels.KVType, c []float32, ldc int, a []float32, lda int, keys []byte, off []int, next []byte, nextOff []int, m, d int, ends *scoreEnds) {
	if len(off) == 0 {
		return
	}
	size := t.ElementBytes()
	_, _ = c[(m-1)*ldc+len(off)*stripWidth-1], a[(m-1)*lda+d-1]
	if raceEnabled {
		for r := range m {
			raceRead(a[r*lda:][:d])
			raceWrite(c[r*ldc:][:len(off)*stripWidth])
		}
	}
	for i := 0; i < len(off); {
		n := 1
		if tiles[1] != nil && i+1 < len(off) {
			n = 2
		}
		for j := range n {
			k := keys[off[i+j]*size:][:d*stripWidth*size]
			raceRead(k)
			ends.key[j], ends.touch[j] = &k[0], &next[nextOff[i+j]*size:][:d*stripWidth*size][0]
		}
		tiles[n-1](&c[i*stripWidth], ldc, &a[0], lda, &ends.key, &ends.touch, d)
		i += n
	}
}

func quantGemmVec(tile quantGemmTile, stride int, f kernels.Format, c []float32, ldc int, x, w []byte, m, groups, ahead int) {
	if groups == 0 {
		return
	}
	x, w = x[:groups*stride], w[:groups*quantGroupBytes(f)]
	_ = c[(m-1)*ldc+panelWidth-1]
	raceRead(x)
	raceRead(w)
	for r := range m {
		raceWrite(c[r*ldc:][:panelWidth])
	}
	tile(&c[0], ldc, &x[0], &w[0], &w[quantScaleBytes], groups, ahead)
}
