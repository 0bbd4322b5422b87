// Products with packed matrices. Along K every leaf is cut into chunks of 512
// values from its start. A chunk is summed in K order from zero, a leaf's chunks
// one after the other, leaves by the fixed tree (fold.h). So an output has one
// order of operations, however many rows there are and however the chunks are
// dealt to blocks.
//
// A launch computes one or more products of the same activations (struct product).
// A range (struct range) is a run of chunks of one leaf, dealt to one block of the
// grid's z; its sum goes to parts[slot, row, out]. Grid: blocks of outputs of all
// products x rows x ranges.
#include "fold.h"
#include "stream.h"
#include "tile.h"

// PER is how many values of K a word has.
constexpr int per(int code) {
	return code == F32 ? 1 : code == BF16 || code == F16 ? 2 : code == I8 || code == F8 ? 4 : 8;
}

// value is number e of a word, without its scale. I4 is kept as U4, with a bias of 8.
template <int CODE>
DEVICE float value(uint32_t word, int e, int bias) {
	switch (CODE) {
	case F32: return from_bits(word);
	case BF16: return from_bits(e ? word & 0xffff0000u : word << 16);
	case F16: return from_f16((uint16_t)(word >> 16 * e));
	case I8: return (float)(int8_t)(word >> 8 * e);
	case F8: return from_f8(word >> 8 * e & 0xff);
	default: return (float)((int)(word >> 4 * e & 15) - bias);
	}
}

// matmul_panel: activations float32 as they are; weights float32, bfloat16,
// binary16, or codes with a scale and perhaps an offset for each group
// (kernels.Coding), which are decoded on the way. A panel is 32 outputs: for codes
// their scales, as stored, and offsets, float32, [group][32] each; then lines of 32 words,
// output j's word of line l having PER values from k = PER*l on, the lowest bits
// first. Leaves begin with a line. A warp has a panel, a lane an output; 128
// threads.
template <int CODE, int ROWS>
DEVICE void matmul_panel(const product *list, int products, const float *x, int rows, int ldx) {
	enum { PER = per(CODE), CODED = CODE > Q8, BYTES = 512, STAGES = 8 };
	SHARED uint8_t rings[WARPS][STAGES * BYTES];
	SHARED float tile[ROWS][SPLIT];
	SHARED int group[CODED ? SPLIT : 1];
	launch_next();
	product p = find(list, products);
	range r = p.ranges[block_z()];
	int warp = thread() / 32, lane = thread() % 32, panel = (block_x() - p.first) * WARPS + warp;
	int row = block_y() * ROWS, n = min_i(ROWS, rows - row), col = panel * 32 + lane;
	bool mine = panel * 32 < p.out;
	const uint8_t *from = p.w + panel * p.stride;
	const float *offsets = (const float *)(from + p.offsets) + lane;
	auto chunk = [&](int c) { // the stream of chunk c
		int len = min_i(SPLIT, r.n - c);
		return begin<BYTES, STAGES>(rings[warp], from + p.codes + (long)(r.lo + c / PER) * 128, mine ? (len + PER - 1) / PER * 128 : 0);
	};
	stream<BYTES, STAGES> s = chunk(0);
	await_earlier();
	float sum[ROWS] = {};
	for (int c = 0; c < r.n; c += SPLIT) {
		int len = min_i(SPLIT, r.n - c), lines = (len + PER - 1) / PER;
		if (c > 0) {
			sync(); // the ring and the tile are read no more
			s = chunk(c);
		}
		for (int j = 0; j < ROWS; j++)
			for (int i = thread(); i < len; i += 32 * WARPS) tile[j][i] = j < n ? x[(long)(row + j) * ldx + r.x + c + i] : 0.0f;
		if (CODED)
			for (int i = thread(); i < len; i += 32 * WARPS) group[i] = p.groups[r.x + c + i] * 32;
		sync();
		float acc[ROWS] = {};
		float scale = 0, offset = 0;
		int last = -1;
		for (int l = 0; l < (mine ? lines : 0); l++) {
			const uint8_t *stage = s.ring + l / 4 % STAGES * BYTES;
			if (l % 4 == 0) stage = next(s, l / 4);
			uint32_t word = ((const uint32_t *)stage)[l % 4 * 32 + lane];
			EACH(e, PER) {
				int i = l * PER + e;
				if (PER == 1 || i < len) {
					float v = value<CODE>(word, e, p.bias);
					if (CODED) {
						int g = group[i];
						if (g != last) {
							last = g;
							scale = widen(from, g + lane, p.scales);
							if (p.offsets) offset = offsets[g];
						}
						v = scale * v;
						if (p.offsets) v = v + offset;
					}
					EACH(j, ROWS) acc[j] = fma32(tile[j][i], v, acc[j]);
				}
			}
		}
		wait_async<0>();
		EACH(j, ROWS) sum[j] += acc[j];
	}
	EACH(j, ROWS) if (j < n && col < p.out) p.parts[((long)r.slot * rows + row + j) * p.out + col] = sum[j];
	fold_last<32 * WARPS, 32 * WARPS>(p, rows, row, n);
}

#define PANELS(name, code) \
	KERNEL(128) matmul_##name##_1(const product *list, int products, const float *x, int rows, int ldx) { \
		matmul_panel<code, 1>(list, products, x, rows, ldx); \
	} \
	KERNEL(128) matmul_##name##_8(const product *list, int products, const float *x, int rows, int ldx) { \
		matmul_panel<code, ROWS>(list, products, x, rows, ldx); \
	}

PANELS(f32, F32)
PANELS(bf16, BF16)
PANELS(f16, F16)
PANELS(i8, I8)
PANELS(u4, U4)
PANELS(f8, F8)

// matmul_mma: few rows, bound by the weights' memory. A warp has a tile of
// outputs and 8 * TILES rows; 128 threads. A block takes p.per ranges, which lie one after
// the other. Activations of few tiles are loaded a step ahead.
template <int TILES>
DEVICE void matmul_mma(const product *list, int products, const uint8_t *x, const float *back, int rows, int steps) {
	enum { STAGES = 8, AHEAD = TILES <= 2 };
	SHARED uint8_t rings[WARPS][STAGES * A_BYTES];
	launch_next();
	product p = find(list, products);
	int z = block_z() * p.per, end = min_i(z + p.per, p.slots);
	range r = p.ranges[z], last = p.ranges[end - 1];
	int warp = thread() / 32, lane = thread() % 32, tile = (block_x() - p.first) * WARPS + warp;
	bool mine = tile * 16 < p.out;
	int row = block_y() * 8 * TILES, all = mine ? last.lo + (last.n + STEP - 1) / STEP - r.lo : 0;
	stream<A_BYTES, STAGES> s = begin<A_BYTES, STAGES>(rings[warp], p.w + tile * p.stride + (long)r.lo * A_BYTES, all * A_BYTES);
	await_earlier();
	const uint8_t *b = x + ((long)(row / 8) * steps + r.lo) * B_BYTES + lane * 16;
	quad q[TILES];
	auto load = [&](int step) { EACH(j, TILES) q[j] = *(const quad *)(b + ((long)j * steps + step) * B_BYTES); };
	if (AHEAD) load(0);
	for (int at = 0;;) { // step of the block's
		float sum[TILES][4] = {};
		int n = mine ? (r.n + STEP - 1) / STEP : 0;
		range next_range = p.ranges[min_i(z + 1, end - 1)];
		for (int c = 0; c < n; c += CHUNK_STEPS) {
			float acc[TILES][4] = {}, factors[TILES][2];
			read_factors<TILES>(factors, back + (long)row * steps + r.lo + c, steps);
			for (int stop = at + min_i(CHUNK_STEPS, n - c); at < stop; at++) {
				const uint8_t *a = next(s, at) + lane * 16;
				quad a0 = *(const quad *)a, a1 = *(const quad *)(a + 512);
				if (!AHEAD) load(at);
				quad now[TILES];
				EACH(j, TILES) now[j] = q[j];
				if (AHEAD) load(min_i(at + 1, all - 1));
				EACH(j, TILES) {
					mma_f16(acc[j], a0.v, now[j].v[0], now[j].v[1]);
					mma_f16(acc[j], a1.v, now[j].v[2], now[j].v[3]);
				}
			}
			add_factored<TILES>(sum, acc, factors);
		}
		store<TILES>(p, r, sum, tile * 16, row, rows);
		if (++z == end) break;
		r = next_range;
	}
	wait_async<0>();
	fold_last<32 * WARPS, 16 * WARPS>(p, rows, row, min_i(8 * TILES, rows - row));
}

#define FEW(n, tiles) \
	KERNEL(128) matmul_mma_##n(const product *list, int products, const uint8_t *x, const float *back, int rows, int steps) { \
		matmul_mma<tiles>(list, products, x, back, rows, steps); \
	}
FEW(8, 1)
FEW(16, 2)
FEW(32, 4)
FEW(64, 8)

// matmul_mma_128: many rows, bound by the tensor cores. A block has 128 outputs and
// 128 rows, a warp 32 of those and 64 of these; steps pass through three stages of
// shared memory. 256 threads.
KERNEL(256) matmul_mma_128(const product *list, int products, const uint8_t *x, const float *back, int rows, int steps) {
	enum { STAGES = 3, A = 8 * A_BYTES, B = 16 * B_BYTES };
	SHARED uint8_t ring[STAGES][A + B];
	begin_after();
	product p = find(list, products);
	range r = p.ranges[block_z()];
	int warp = thread() / 32, lane = thread() % 32, tile = (block_x() - p.first) * 8, row = block_y() * 128;
	int n = (r.n + STEP - 1) / STEP;
	auto fetch = [&](int stage) {
		if (stage < n) {
			uint8_t *to = ring[stage % STAGES];
			EACH(i, 2) {
				int at = (thread() + 256 * i) * 16;
				if ((tile + at / A_BYTES) * 16 < p.out)
					copy_async(to + at, p.w + (tile + at / A_BYTES) * p.stride + (long)(r.lo + stage) * A_BYTES + at % A_BYTES);
				copy_async(to + A + at, x + ((long)(row / 8 + at / B_BYTES) * steps + r.lo + stage) * B_BYTES + at % B_BYTES);
			}
		}
		commit_async();
	};
	for (int i = 0; i < STAGES - 1; i++) fetch(i);
	int out = warp % 4 * 2, to = warp / 4 * 8; // the warp's first tiles
	float sum[2][8][4] = {};
	for (int c = 0; c < n; c += CHUNK_STEPS) {
		float acc[2][8][4] = {};
		for (int i = c; i < min_i(c + CHUNK_STEPS, n); i++) {
			wait_async<STAGES - 2>();
			sync();
			fetch(i + STAGES - 1);
			const uint8_t *a = ring[i % STAGES] + out * A_BYTES + lane * 16, *b = ring[i % STAGES] + A + to * B_BYTES + lane * 16;
			quad left[2][2];
			EACH(m, 2) EACH(h, 2) left[m][h] = *(const quad *)(a + m * A_BYTES + h * 512);
			EACH(j, 8) {
				quad q = *(const quad *)(b + j * B_BYTES);
				EACH(m, 2) mma_f16(acc[m][j], left[m][0].v, q.v[0], q.v[1]);
				EACH(m, 2) mma_f16(acc[m][j], left[m][1].v, q.v[2], q.v[3]);
			}
		}
		EACH(m, 2) add_chunk<8>(sum[m], acc[m], back + (long)(row + to * 8) * steps + r.lo + c, steps);
	}
	wait_async<0>();
	EACH(m, 2) store<8>(p, r, sum[m], (tile + out + m) * 16, row + to * 8, rows);
	fold_last<256, 128>(p, rows, row, min_i(128, rows - row));
}

// fold: the nodes' sums where that is a launch of its own. Grid: elements / 256 of all
// products x nodes.
KERNEL(256) fold(const product *list, int rows) {
	begin_after();
	int block = block_x();
	const product *p = list;
	for (;; p++) {
		int blocks = (int)(((long)rows * p->out + 255) / 256);
		if (block < blocks) break;
		block -= blocks;
	}
	long i = (long)block * 256 + thread(), n = (long)rows * p->out;
	if (i < n) p->dst[block_y() * p->between + i] = node_sum(*p, block_y(), n, i);
}
