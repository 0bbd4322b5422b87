//go:build !noasm

package cpu

import "github.com/sullae/sullae/kernels"

type (
	weighTile func(c *float32, ldc int, a *float32, lda int, v *byte, ldv int, off *int, offs int, n int)
	scoreTile func(c *float32, ldc int, a *float32, lda int, keys, next *[2]*byte, d int)

	// weighTiles are by type and rows, and 0 for one strip or 1 for strips[rows].
	weighTiles [kernels.KVQ8 + 1][maxTileRows + 1][2]weighTile
	// scoreTiles are by type and rows, and 0 for one tile of keys or 1 for two.
	scoreTiles [kernels.KVQ8 + 1][maxTileRows + 1][2]scoreTile
)

var weighTiles256 = weighTiles{
	kernels.KVF32:  {1: {weighF32_1x1, weighF32_1x4}, 2: {weighF32_2x1, weighF32_2x2}, 3: {weighF32_3x1, weighF32_3x2}, 4: {weighF32_4x1}, 5: {weighF32_5x1}, 6: {weighF32_6x1}},
	kernels.KVF16:  {1: {weighF16_1x1, weighF16_1x4}, 2: {weighF16_2x1, weighF16_2x2}, 3: {weighF16_3x1, weighF16_3x2}, 4: {weighF16_4x1}, 5: {weighF16_5x1}, 6: {weighF16_6x1}},
	kernels.KVBF16: {1: {weighBF16_1x1, weighBF16_1x4}, 2: {weighBF16_2x1, weighBF16_2x2}, 3: {weighBF16_3x1, weighBF16_3x2}, 4: {weighBF16_4x1}, 5: {weighBF16_5x1}, 6: {weighBF16_6x1}},
	kernels.KVQ8:   {1: {weighQ8_1x1, weighQ8_1x4}, 2: {weighQ8_2x1, weighQ8_2x2}, 3: {weighQ8_3x1, weighQ8_3x2}, 4: {weighQ8_4x1}, 5: {weighQ8_5x1}, 6: {weighQ8_6x1}},
}

var scoreTiles256 = scoreTiles{
	kernels.KVF32:  {1: {scoreF32_1x1}, 2: {scoreF32_2x1}, 3: {scoreF32_3x1}, 4: {scoreF32_4x1}, 5: {scoreF32_5x1}, 6: {scoreF32_6x1}},
	kernels.KVF16:  {1: {scoreF16_1x1}, 2: {scoreF16_2x1}, 3: {scoreF16_3x1}, 4: {scoreF16_4x1}, 5: {scoreF16_5x1}, 6: {scoreF16_6x1}},
	kernels.KVBF16: {1: {scoreBF16_1x1}, 2: {scoreBF16_2x1}, 3: {scoreBF16_3x1}, 4: {scoreBF16_4x1}, 5: {scoreBF16_5x1}, 6: {scoreBF16_6x1}},
	kernels.KVQ8:   {1: {scoreQ8_1x1}, 2: {scoreQ8_2x1}, 3: {scoreQ8_3x1}, 4: {scoreQ8_4x1}, 5: {scoreQ8_5x1}, 6: {scoreQ8_6x1}},
}

func weighAVX2(t kernels.KVType, c []float32, ldc int, a []float32, lda int, v []byte, ldv int, off []int, m, p, n int) {
	weighVec(&weighTiles256, &strips256, t, c, ldc, a, lda, v, ldv, off, m, p, n)
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

func scoreAVX2(t kernels.KVType, c []float32, ldc int, a []float32, lda int, keys []byte, off []int, next []byte, nextOff []int, m, d int) {
	scoreVec(&scoreTiles256[t][m], t, c, ldc, a, lda, keys, off, next, nextOff, m, d)
}

func scoreVec(tiles *[2]scoreTile, t kernels.KVType, c []float32, ldc int, a []float32, lda int, keys []byte, off []int, next []byte, nextOff []int, m, d int) {
	if len(off) == 0 {
		return
	}
	size := t.ElementBytes()
	_, _ = c[(m-1)*ldc+len(off)*stripWidth-1], a[(m-1)*lda+d-1]
	for r := range m {
		raceRead(a[r*lda:][:d])
		raceWrite(c[r*ldc:][:len(off)*stripWidth])
	}
	for i := 0; i < len(off); {
		n := 1
		if tiles[1] != nil && i+1 < len(off) {
			n = 2
		}
		var key, touch [2]*byte
		for j := range n {
			k := keys[off[i+j]*size:][:d*stripWidth*size]
			raceRead(k)
			key[j], touch[j] = &k[0], &next[nextOff[i+j]*size:][:d*stripWidth*size][0]
		}
		tiles[n-1](&c[i*stripWidth], ldc, &a[0], lda, &key, &touch, d)
		i += n
	}
}
