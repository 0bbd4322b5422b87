// The sums of mma's tiles of 16 outputs and 8 rows.
#pragma once
#include "product.h"

// Weights and activations binary16 on the tensor cores. Weights are, for each tile
// of 16 outputs and step of 32 k, two of mma's A fragments, 16 bytes a lane;
// activations are, for each tile of 8 rows and step, two of its B fragments, 16
// bytes a lane, and for each row and chunk what its sum is multiplied by, at
// back[row, the chunk's first step] (rows.cu, emit_f16): powers of two, which change no
// bit. Each leaf begins with a step and is padded with zeros.
enum { STEP = 32, CHUNK_STEPS = SPLIT / STEP, A_BYTES = 1024, B_BYTES = 512 };

template <int TILES>
DEVICE void store(const product &p, const range &r, const float sum[TILES][4], int col, int row, int rows) {
	int lane = opaque(thread()) % 32, g = lane / 4, t = lane % 4;
	EACH(j, TILES) EACH(i, 4) {
		int to = row + 8 * j + 2 * t + i % 2, out = col + g + i / 2 * 8;
		if (to < rows && out < p.out) p.parts[((long)r.slot * rows + to) * p.out + out] = sum[j][i] * p.scale;
	}
}

// read_factors reads what the sums of a chunk of TILES tiles of 8 rows are multiplied by,
// add_factored adds them to sum; add_chunk does both.
template <int TILES>
DEVICE void read_factors(float factors[TILES][2], const float *back, int steps) {
	int between = opaque(steps);
	back += (long)(thread() % 4 * 2) * between;
	EACH(j, TILES) EACH(e, 2) factors[j][e] = back[(long)(8 * j + e) * between];
}

template <int TILES>
DEVICE void add_factored(float sum[TILES][4], const float acc[TILES][4], const float factors[TILES][2]) {
	EACH(j, TILES) EACH(i, 4) sum[j][i] = fma32(acc[j][i], factors[j][i % 2], sum[j][i]);
}

template <int TILES>
DEVICE void add_chunk(float sum[TILES][4], const float acc[TILES][4], const float *back, int steps) {
	float factors[TILES][2];
	read_factors<TILES>(factors, back, steps);
	add_factored<TILES>(sum, acc, factors);
}
