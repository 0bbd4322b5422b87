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
	scoreTile func(c *float32, ldc int, a *float32, lda int, keys, next *[keyStreams]*byte, d int)

	// weighTiles are by type and rows, for 1, 2 and 4 strips; nil where there is none.
	weighTiles [kernels.KVQ8 + 1][maxTileRows + 1][3]weighTile
	// scoreTiles are by type and rows, for 1, 2 and 4 tiles of keys; nil likewise.
	scoreTiles [kernels.KVQ8 + 1][maxTileRows + 1][3]scoreTile
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

func weighVec(tiles *weighTiles, t kernels.KVType, c []float32, ldc int, a []float32, lda int, v []byte, ldv int, off []int, m, p, n int) {
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
	for q := 0; q < p; {
		tile, strips := widest(&tiles[t][m], p-q)
		tile(&c[q*stripWidth], ldc, &a[0], lda, &v[q*stripWidth*size], ldv, &off[0], len(off), n)
		q += strips
	}
}

// widest is the tile that takes most of n at once, and how many it takes.
func widest[T weighTile | scoreTile](tiles *[3]T, n int) (tile T, takes int) {
	for i := len(tiles) - 1; i > 0; i-- {
		if 1<<i <= n && tiles[i] != nil {
			return tiles[i], 1 << i
		}
	}
	return tiles[0], 1
}

func scoreVec(tiles *[3]scoreTile, t kernels.KVType, c []float32, ldc int, a []float32, lda int, keys []byte, off []int, next []byte, nextOff []int, m, d int, ends *scoreEnds) {
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
		tile, n := widest(tiles, len(off)-i)
		for j := range n {
			k := keys[off[i+j]*size:][:d*stripWidth*size]
			raceRead(k)
			ends.key[j], ends.touch[j] = &k[0], &next[nextOff[i+j]*size:][:d*stripWidth*size][0]
		}
		tile(&c[i*stripWidth], ldc, &a[0], lda, &ends.key, &ends.touch, d)
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
