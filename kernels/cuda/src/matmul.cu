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

// dot_group is a group's dot product, from output's integers q and a row's.
template <int LINES>
DEVICE int dot_group(const uint32_t q[LINES], const quad &lo, const quad &hi, int sum) {
	int dot = LINES == 8 ? 0 : -8 * sum;
	EACH(l, LINES) {
		if (LINES == 8) {
			dot = dp4a(q[l], l < 4 ? lo.v[l] : hi.v[l - 4], dot);
		} else {
			dot = dp4a(q[l] & 0x0f0f0f0f, 2 * l < 4 ? lo.v[2 * l] : hi.v[2 * l - 4], dot);
			dot = dp4a(q[l] >> 4 & 0x0f0f0f0f, 2 * l < 4 ? lo.v[2 * l + 1] : hi.v[2 * l - 3], dot);
		}
	}
	return dot;
}

// matmul_quant: weights Q8 or Q4, a row of activations int8 in groups of 32 with a scale and
// a sum (rows.cu, emit_int8). A panel of 32 outputs is, for each group of 32 along
// K, 32 binary16 scales, then lines of 32 words: output j's word of line l has its
// integers for k = 4l ... 4l+3 (Q8), or in its low nibbles those plus 8 for
// 8l ... 8l+3 and in its high ones for 8l+4 ... 8l+7 (Q4). Threads as
// matmul_panel's. A stage is two groups, so that instructions suffice for what memory brings
// (docs/gpu.md); activations are loaded two groups ahead.
template <int LINES>
DEVICE void matmul_quant(const product *list, int products, const uint32_t *x, const group_sum *scales) {
	enum { GROUP = 64 + LINES * 128, PAIR = 2, BYTES = PAIR * GROUP, STAGES = 32 / LINES };
	SHARED uint8_t rings[WARPS][STAGES * BYTES];
	launch_next();
	product p = find(list, products);
	int z = block_z() * p.per, end = min_i(z + p.per, p.slots);
	range r = p.ranges[z], last = p.ranges[end - 1];
	int warp = thread() / 32, lane = thread() % 32, panel = (block_x() - p.first) * WARPS + warp, col = panel * 32 + lane;
	bool mine = panel * 32 < p.out;
	int all = mine ? last.lo + (last.n + 31) / 32 - r.lo : 0;
	stream<BYTES, STAGES> s = begin<BYTES, STAGES>(rings[warp], p.w + panel * p.stride + (long)r.lo * GROUP, all * GROUP);
	await_earlier();
	x += r.lo * 8, scales += r.lo;
	quad lo[PAIR], hi[PAIR];
	group_sum t[PAIR];
	auto load = [&](int at) {
		EACH(u, PAIR) {
			int group = min_i(at + u, all - 1);
			lo[u] = *(const quad *)(x + group * 8), hi[u] = *(const quad *)(x + group * 8 + 4), t[u] = scales[group];
		}
	};
	if (mine) load(0);
	for (int at = 0;;) { // group of the block's
		float sum = 0;
		int own = mine ? (r.n + 31) / 32 : 0;
		range next_range = p.ranges[min_i(z + 1, end - 1)];
		for (int c = 0; c < own; c += SPLIT / 32) {
			float acc = 0;
			for (int stop = at + min_i(SPLIT / 32, own - c); at < stop;) {
				bool first = at % PAIR == 0; // of its stage
				if (first) next(s, at / PAIR);
				const uint8_t *stage = place(s, at / PAIR);
				auto group = [&](int u, int in) { // the stage's group in, whose activations are lo[u] and so on
					const uint8_t *g = stage + in * GROUP;
					float scale = from_f16(((const uint16_t *)g)[lane]);
					const uint32_t *lines = (const uint32_t *)(g + 64) + lane;
					uint32_t q[LINES];
					EACH(l, LINES) q[l] = lines[l * 32];
					acc = fma32((float)dot_group<LINES>(q, lo[u], hi[u], t[u].sum), scale * t[u].scale, acc);
				};
				if (first && at + 1 < stop) {
					EACH(u, PAIR) group(u, u);
					at += 2;
				} else {
					group(0, first ? 0 : 1);
					at++;
				}
				load(at);
			}
			sum += acc;
		}
		if (col < p.out) p.parts[(long)r.slot * p.out + col] = sum;
		if (++z == end) break;
		r = next_range;
	}
	wait_async<0>();
	fold_last<32 * WARPS, 32 * WARPS>(p, 1, 0, 1);
}

#define QUANT(name, lines) \
	KERNEL(128) matmul_##name##_1(const product *list, int products, const uint32_t *x, const group_sum *scales, int rows, int groups) { \
		matmul_quant<lines>(list, products, x, scales); \
	}
QUANT(q8, 8)
QUANT(q4, 4)

// matmul_quant_many: matmul_quant for many rows, on the tensor cores: the dot product of a
// group is exact, so the sums have the same bits. A block has 4 panels and 64 rows, a warp
// a panel and 32 of these; groups pass through four stages of shared memory, where lines
// and rows lie so far apart that no two lanes read from one bank. 256 threads.
template <int LINES>
DEVICE void matmul_quant_many(const product *list, int products, const uint32_t *x, const group_sum *scales, int rows, int groups) {
	enum { BYTES = 64 + LINES * 128, LINE = 160, PANEL = 64 + LINES * LINE, ROW = 48, STAGES = 4, ROWS = 64 };
	enum { X = 4 * PANEL, SUMS = X + ROWS * ROW, SIZE = SUMS + ROWS * 8 };
	SHARED uint8_t ring[STAGES][SIZE];
	begin_after();
	product p = find(list, products);
	range r = p.ranges[block_z()];
	int warp = thread() / 32, lane = thread() % 32, g = lane / 4, t = lane % 4;
	int panel = (block_x() - p.first) * 4, row = block_y() * ROWS, end = (r.n + 31) / 32;
	auto fetch = [&](int stage) {
		if (stage < end) {
			uint8_t *to = ring[stage % STAGES];
			for (int i = thread(); i < 4 * (BYTES / 16); i += 256) {
				int q = i / (BYTES / 16), at = i % (BYTES / 16) * 16, place = at < 64 ? at : 64 + (at - 64) / 128 * LINE + (at - 64) % 128;
				if ((panel + q) * 32 < p.out) copy_async(to + q * PANEL + place, p.w + (panel + q) * p.stride + (long)(r.lo + stage) * BYTES + at);
			}
			int j = thread() / 2 % ROWS; // a row; what is beyond the last is not stored
			long at = (long)min_i(row + j, rows - 1) * groups + r.lo + stage;
			if (thread() < 2 * ROWS) copy_async(to + X + j * ROW + thread() % 2 * 16, (const uint8_t *)(x + at * 8) + thread() % 2 * 16);
			else if (thread() % 2 == 0) copy_async_8(to + SUMS + j * 8, scales + at);
		}
		commit_async();
	};
	for (int i = 0; i < STAGES - 1; i++) fetch(i);
	int first = warp / 4 * 32; // the warp's first row
	float sum[2][4][4] = {};
	for (int c = 0; c < end; c += SPLIT / 32) {
		float acc[2][4][4] = {};
		for (int i = c; i < min_i(c + SPLIT / 32, end); i++) {
			wait_async<STAGES - 2>();
			sync();
			fetch(i + STAGES - 1);
			const uint8_t *stage = ring[i % STAGES], *group = stage + warp % 4 * PANEL;
			uint32_t a[2][4]; // the panel's outputs g, g + 8, g + 16 and g + 24
			float scale[2][2];
			EACH(m, 2) EACH(h, 2) {
				int out = 16 * m + 8 * h + g;
				scale[m][h] = from_f16(((const uint16_t *)group)[out]);
				EACH(k, 2) { // integers 16k + 4t and three more
					if (LINES == 8) a[m][h + 2 * k] = *(const uint32_t *)(group + 64 + (4 * k + t) * LINE + 4 * out);
					else a[m][h + 2 * k] = *(const uint32_t *)(group + 64 + (2 * k + t / 2) * LINE + 4 * out) >> t % 2 * 4 & 0x0f0f0f0f;
				}
			}
			EACH(j, 4) {
				const uint32_t *b = (const uint32_t *)(stage + X + (first + 8 * j + g) * ROW);
				group_sum s[2];
				EACH(e, 2) s[e] = *(const group_sum *)(stage + SUMS + (first + 8 * j + 2 * t + e) * 8);
				EACH(m, 2) {
					int dot[4];
					EACH(e, 4) dot[e] = LINES == 8 ? 0 : -8 * s[e % 2].sum;
					mma_s8(dot, a[m], b[t], b[4 + t]);
					EACH(e, 4) acc[m][j][e] = fma32((float)dot[e], scale[m][e / 2] * s[e % 2].scale, acc[m][j][e]);
				}
			}
		}
		EACH(m, 2) EACH(j, 4) EACH(e, 4) sum[m][j][e] += acc[m][j][e];
	}
	wait_async<0>();
	EACH(m, 2) store<4>(p, r, sum[m], (panel + warp % 4) * 32 + 16 * m, row + first, rows);
	fold_last<256, 128>(p, rows, row, min_i(ROWS, rows - row));
}

#define QUANT_MANY(name, lines) \
	KERNEL(256) matmul_##name##_64(const product *list, int products, const uint32_t *x, const group_sum *scales, int rows, int groups) { \
		matmul_quant_many<lines>(list, products, x, scales, rows, groups); \
	}
QUANT_MANY(q8, 8)
QUANT_MANY(q4, 4)

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
