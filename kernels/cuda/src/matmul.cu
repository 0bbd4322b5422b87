// Products with packed matrices. Along K every leaf is cut into chunks of 512
// values from its start. A chunk is summed in K order from zero, a leaf's chunks
// one after the other, leaves by the fixed tree (fold). So an output has one
// order of operations, however many rows there are and however the chunks are
// dealt to blocks.
//
// A range (struct range) is a run of chunks of one leaf, dealt to one block of
// the grid's z; its sum goes to dst[slot, row, out].
#include "device.h"

enum { SPLIT = 512, ROWS = 8 };

// Loops over register arrays are unrolled, or the arrays would lie in memory.
#define EACH(i, n) UNROLL for (int i = 0; i < (n); i++)

struct range {
	int lo, hi; // in K values of the packed layout; lo begins a chunk of its leaf
	int slot;
	int x; // where lo lies in the activations
};

// matmul_exact: weights F32, BF16 or F16, activations float32 as they are.
// Weights are panels of 32 outputs, [panel][k][32]. Grid: panels / 4 x rows / 8 x
// ranges; 128 threads, a warp a panel, a lane an output.
KERNEL(128) matmul_exact(float *dst, const uint8_t *w, const float *x, const range *ranges,
	int rows, int out, int k, int ldx, int type) {
	SHARED float tile[ROWS][SPLIT];
	range r = ranges[block_z()];
	int panel = block_x() * 4 + thread() / 32, lane = thread() % 32;
	int row = block_y() * ROWS, n = min_i(ROWS, rows - row);
	int col = panel * 32 + lane;
	float sum[ROWS] = {};
	for (int c = r.lo; c < r.hi; c += SPLIT) {
		int len = min_i(SPLIT, r.hi - c);
		for (int i = thread(); i < n * len; i += 128)
			tile[i / len][i % len] = x[(long)(row + i / len) * ldx + r.x + (c - r.lo) + i % len];
		sync();
		if (col < (out + 31) / 32 * 32) {
			float acc[ROWS] = {};
			long at = ((long)panel * k + c) * 32 + lane;
			for (int i = 0; i < len; i++) {
				float v = widen(w, at + (long)i * 32, type);
				EACH(j, ROWS) if (j < n) acc[j] = fma32(tile[j][i], v, acc[j]);
			}
			EACH(j, ROWS) sum[j] += acc[j];
		}
		sync();
	}
	EACH(j, ROWS) if (j < n && col < out) dst[((long)r.slot * rows + row + j) * out + col] = sum[j];
}

// round_rows: activations to bfloat16, each leaf padded with zeros to a multiple
// of 16, rows to a multiple of 8. leaf_of[i / 16] is where the 16 values of the
// padded layout begin in x, ends[i / 16] where their leaf ends. Grid: padded rows.
KERNEL(256) round_rows(uint16_t *dst, const float *x, const int *from, const int *ends, int rows, int k, int padded) {
	int row = block_x();
	for (int i = thread(); i < padded; i += 256) {
		int at = from[i / 16] + i % 16;
		dst[(long)row * padded + i] = row < rows && at < ends[i / 16] ? to_bf16(x[(long)row * k + at]) : 0;
	}
}

// matmul_bf16: weights and activations bfloat16 on the tensor cores. Weights are
// tiles of 16 outputs x 16 k in the order of mma's A fragments, 16 bytes a lane:
// [out tile][k tile][lane]. Grid: out tiles / 4 x rows / (8 * TILES) x ranges; 128
// threads, a warp an out tile.
struct alignas(16) quad {
	uint32_t v[4];
};

template <int TILES>
DEVICE void matmul_bf16(float *dst, const quad *w, const uint16_t *x, const range *ranges,
	int rows, int out, int padded) {
	range r = ranges[block_z()];
	int tile = block_x() * 4 + thread() / 32, lane = thread() % 32;
	if (tile * 16 >= out) return;
	int row = block_y() * 8 * TILES, g = lane / 4, t = lane % 4;
	float sum[TILES][4] = {};
	const quad *a = w + ((long)tile * (padded / 16) + r.lo / 16) * 32 + lane;
	for (int c = r.lo; c < r.hi; c += SPLIT) {
		float acc[TILES][4] = {};
		for (int k = c; k < min_i(c + SPLIT, r.hi); k += 16, a += 32) {
			quad frag = *a;
			EACH(j, TILES) {
				const uint16_t *b = x + (long)(row + 8 * j + g) * padded + k + 2 * t;
				mma_bf16(acc[j], frag.v, *(const uint32_t *)b, *(const uint32_t *)(b + 8));
			}
		}
		EACH(j, TILES) EACH(i, 4) sum[j][i] += acc[j][i];
	}
	EACH(j, TILES) EACH(i, 4) {
		int to = row + 8 * j + 2 * t + i % 2, col = tile * 16 + g + i / 2 * 8;
		if (to < rows && col < out) dst[((long)r.slot * rows + to) * out + col] = sum[j][i];
	}
}

KERNEL(128) matmul_bf16_8(float *dst, const quad *w, const uint16_t *x, const range *ranges, int rows, int out, int padded) {
	matmul_bf16<1>(dst, w, x, ranges, rows, out, padded);
}
KERNEL(128) matmul_bf16_64(float *dst, const quad *w, const uint16_t *x, const range *ranges, int rows, int out, int padded) {
	matmul_bf16<8>(dst, w, x, ranges, rows, out, padded);
}

// quantize_rows: activations to int8 in groups of 32 (package reference,
// QuantizeRow); a group's scale is NaN where a value is not finite. from and ends
// are as round_rows', for each group. Grid: rows.
KERNEL(128) quantize_rows(uint8_t *dst, float *scales, const float *x, const int *from, const int *ends, int k, int groups) {
	long row = block_x();
	for (int g = thread(); g < groups; g += 128) {
		const float *v = x + row * k + from[g];
		int n = min_i(32, ends[g] - from[g]);
		float top = 0, odd = 0;
		for (int i = 0; i < n; i++) {
			float a = from_bits(bits(v[i]) & 0x7fffffffu);
			if (a > top) top = a;
			odd += v[i] - v[i];
		}
		bool none = top < 0x1p-100f;
		float inv = none ? 0.0f : 127.0f / top;
		for (int i = 0; i < 32; i++) {
			int q = 0;
			if (i < n && odd == odd) q = (int)__builtin_rintf(v[i] * inv);
			dst[(row * groups + g) * 32 + i] = (uint8_t)q;
		}
		scales[row * groups + g] = odd != odd ? odd : none ? 0.0f : top * (1.0f / 127.0f);
	}
}

// matmul_quant: weights Q8 or Q4, activations int8. A panel of 32 outputs is, for
// each group of 32 along K, 32 binary16 scales, then lines of 32 words: output
// j's word of line l has its integers for k = 4l ... 4l+3 (Q8), or in its low
// nibbles those plus 8 for 8l ... 8l+3 and in its high ones for 8l+4 ... 8l+7 (Q4).
// Ranges count groups, 16 to a chunk. Grid and threads as matmul_exact's.
template <int LINES>
DEVICE void matmul_quant(float *dst, const uint8_t *w, const uint32_t *x, const float *scales, const range *ranges,
	int rows, int out, int groups) {
	enum { BYTES = 64 + LINES * 128 };
	range r = ranges[block_z()];
	int panel = block_x() * 4 + thread() / 32, lane = thread() % 32;
	int row = block_y() * ROWS, n = min_i(ROWS, rows - row);
	int col = panel * 32 + lane;
	if (col >= out) return;
	float sum[ROWS] = {};
	for (int c = r.lo; c < r.hi; c += SPLIT / 32) {
		float acc[ROWS] = {};
		for (int g = c; g < min_i(c + SPLIT / 32, r.hi); g++) {
			const uint8_t *group = w + ((long)panel * groups + g) * BYTES;
			float scale = from_f16(((const uint16_t *)group)[lane]);
			const uint32_t *lines = (const uint32_t *)(group + 64) + lane;
			uint32_t q[LINES];
			EACH(l, LINES) q[l] = lines[l * 32];
			EACH(j, ROWS) if (j < n) {
				const uint32_t *v = x + ((long)(row + j) * groups + g) * 8;
				int dot = 0;
				EACH(l, LINES) {
					if (LINES == 8) {
						dot = dp4a(q[l], v[l], dot);
						continue;
					}
					uint32_t lo = q[l] & 0x0f0f0f0f, hi = q[l] >> 4 & 0x0f0f0f0f;
					dot = dp4a(lo, v[2 * l], dot) - 8 * dp4a(0x01010101, v[2 * l], 0);
					dot = dp4a(hi, v[2 * l + 1], dot) - 8 * dp4a(0x01010101, v[2 * l + 1], 0);
				}
				acc[j] = fma32((float)dot, scale * scales[(long)(row + j) * groups + g], acc[j]);
			}
		}
		EACH(j, ROWS) sum[j] += acc[j];
	}
	EACH(j, ROWS) if (j < n) dst[((long)r.slot * rows + row + j) * out + col] = sum[j];
}

KERNEL(128) matmul_q8(float *dst, const uint8_t *w, const uint32_t *x, const float *scales, const range *ranges, int rows, int out, int groups) {
	matmul_quant<8>(dst, w, x, scales, ranges, rows, out, groups);
}
KERNEL(128) matmul_q4(float *dst, const uint8_t *w, const uint32_t *x, const float *scales, const range *ranges, int rows, int out, int groups) {
	matmul_quant<4>(dst, w, x, scales, ranges, rows, out, groups);
}

// fold: dst[node, i] = the tree over the node's leaves of the sums of their
// slots, for i < n = rows * out. program is, for each node, its length and then
// its steps: a step s >= 0 adds slot s to the leaf that is being summed, OPEN
// begins a leaf, JOIN adds the two topmost sums. Nodes lie stride elements apart.
// Grid: elements / 256 x nodes.
enum { OPEN = -1, JOIN = -2, DEPTH = 24 };

KERNEL(256) fold(float *dst, const float *parts, const int *program, const int *starts, long n, long stride) {
	long i = (long)block_x() * 256 + thread();
	if (i >= n) return;
	const int *p = program + starts[block_y()];
	SHARED float stack[DEPTH][256];
	int top = -1, me = thread();
	for (int s = 1; s <= p[0]; s++) {
		if (p[s] == OPEN) {
			stack[++top][me] = 0.0f;
		} else if (p[s] == JOIN) {
			top--;
			stack[top][me] += stack[top + 1][me];
		} else {
			stack[top][me] += parts[(long)p[s] * n + i];
		}
	}
	dst[(long)block_y() * stride + i] = stack[0][me];
}
