// Products with weights Q8 and Q4: of one row by dp4a, of more on the tensor cores, which leave
// instructions enough to keep up with the weights' memory. The dot product of a group is exact,
// so all have the same bits.
#include "stream.h"
#include "tile.h"
#include "fold.h"

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

// In shared memory lines and rows of activations lie so many bytes apart that no two lanes read
// from one bank.
enum { CHUNK_GROUPS = SPLIT / 32, LINE = 160, XROW = 48 };

// weights are a lane's of a panel's group: of outputs g, g + 8, g + 16 and g + 24.
struct weights {
	uint32_t a[2][4];
	float scale[2][2];
};

template <int LINES>
DEVICE weights read_weights(const uint8_t *group) {
	int g = thread() % 32 / 4, t = thread() % 4;
	weights w;
	EACH(m, 2) EACH(h, 2) {
		int out = 16 * m + 8 * h + g;
		w.scale[m][h] = from_f16(((const uint16_t *)group)[out]);
		EACH(k, 2) { // integers 16k + 4t and three more
			if (LINES == 8) w.a[m][h + 2 * k] = *(const uint32_t *)(group + 64 + (4 * k + t) * LINE + 4 * out);
			else w.a[m][h + 2 * k] = *(const uint32_t *)(group + 64 + (2 * k + t / 2) * LINE + 4 * out) >> t % 2 * 4 & 0x0f0f0f0f;
		}
	}
	return w;
}

// add_group adds a group of a tile of 8 rows to the panel's upper and lower half: x is the
// lane's row of activations, sums those of the rows whose outputs it has.
template <int LINES>
DEVICE void add_group(float upper[4], float lower[4], const weights &w, const uint8_t *x, const group_sum *sums) {
	const uint32_t *b = (const uint32_t *)x + thread() % 4;
	group_sum s[2] = {sums[0], sums[1]};
	EACH(m, 2) {
		float *acc = m ? lower : upper;
		int dot[4];
		EACH(e, 4) dot[e] = LINES == 8 ? 0 : -8 * s[e % 2].sum;
		mma_s8(dot, w.a[m], b[0], b[4]);
		EACH(e, 4) acc[e] = fma32((float)dot[e], w.scale[m][e / 2] * s[e % 2].scale, acc[e]);
	}
}

// matmul_quant_few: a warp has a panel and 8 * TILES rows. Its groups pass through stages of
// shared memory; activations of a chunk are there, [group][row][XROW], those of the next one in
// registers. A block takes p.per ranges, which lie one after the other. 128 threads.
template <int LINES, int TILES>
DEVICE void matmul_quant_few(const product *list, int products, const uint32_t *x, const group_sum *scales, int rows, int groups) {
	enum { BYTES = 64 + LINES * 128, PLACE = 64 + LINES * LINE, STAGES = LINES == 4 ? 12 : 6, TALL = 8 * TILES };
	SHARED uint8_t rings[WARPS][STAGES * PLACE];
	SHARED uint8_t xs[CHUNK_GROUPS * TALL * XROW];
	SHARED group_sum sums[CHUNK_GROUPS * TALL];
	launch_next();
	product p = find(list, products);
	int z = block_z() * p.per, end = min_i(z + p.per, p.slots);
	range r = p.ranges[z], last = p.ranges[end - 1];
	int warp = thread() / 32, lane = thread() % 32, g = lane / 4, t = lane % 4;
	int panel = (block_x() - p.first) * WARPS + warp, row = block_y() * TALL;
	bool mine = panel * 32 < p.out;
	int all = mine ? last.lo + (last.n + 31) / 32 - r.lo : 0;
	const uint8_t *w = p.w + panel * p.stride + (long)r.lo * BYTES;
	uint8_t *ring = rings[warp];
	auto fetch = [&](int stage) {
		EACH(i, (BYTES + 511) / 512) {
			int at = lane * 16 + 512 * i, to = at < 64 ? at : 64 + (at - 64) / 128 * LINE + (at - 64) % 128;
			if (at < BYTES && stage < all) copy_async(ring + (uint32_t)stage % STAGES * PLACE + to, w + (long)stage * BYTES + at);
		}
		commit_async();
	};
	EACH(i, STAGES - 1) fetch(i);
	await_earlier();
	uint32_t next_x[2 * TILES][4];
	group_sum next_sums[TILES];
	auto load = [&](int first, int n) { // n groups, or a chunk; rows and groups beyond the last are not used
		EACH(i, 2 * TILES) {
			int at = thread() + 128 * i, j = min_i(row + at / 32, rows - 1), group = min_i(at % 32 / 2, n - 1);
			quad q = *(const quad *)(x + ((long)j * groups + first + group) * 8 + at % 2 * 4);
			EACH(e, 4) next_x[i][e] = q.v[e];
		}
		EACH(i, TILES) {
			int at = thread() + 128 * i, j = min_i(row + at / 16, rows - 1);
			next_sums[i] = scales[(long)j * groups + first + min_i(at % 16, n - 1)];
		}
	};
	auto put = [&] {
		EACH(i, 2 * TILES) {
			int at = thread() + 128 * i;
			*(quad *)(xs + (at % 32 / 2 * TALL + at / 32) * XROW + at % 2 * 16) = {{next_x[i][0], next_x[i][1], next_x[i][2], next_x[i][3]}};
		}
		EACH(i, TILES) {
			int at = thread() + 128 * i;
			sums[at % 16 * TALL + at / 16] = next_sums[i];
		}
	};
	load(r.lo, (r.n + 31) / 32);
	for (int at = 0;;) { // group of the block's
		float sum[2][TILES][4] = {};
		int n = (r.n + 31) / 32;
		range next_range = p.ranges[min_i(z + 1, end - 1)];
		for (int c = 0; c < n; c += CHUNK_GROUPS) {
			int len = min_i(CHUNK_GROUPS, n - c);
			sync(); // what is in shared memory is read no more
			put();
			sync();
			bool more = c + CHUNK_GROUPS < n;
			load(more ? r.lo + c + CHUNK_GROUPS : next_range.lo, more ? n - c - CHUNK_GROUPS : (next_range.n + 31) / 32);
			float acc[2][TILES][4] = {};
			for (int i = 0; i < (mine ? len : 0); i++, at++) {
				wait_async<STAGES - 2>();
				sync_warp();
				fetch(at + STAGES - 1);
				const uint8_t *group = ring + (uint32_t)at % STAGES * PLACE;
				weights w = read_weights<LINES>(group);
				EACH(j, TILES) add_group<LINES>(acc[0][j], acc[1][j], w, xs + (i * TALL + 8 * j + g) * XROW, sums + i * TALL + 8 * j + 2 * t);
			}
			EACH(m, 2) EACH(j, TILES) EACH(e, 4) sum[m][j][e] += acc[m][j][e];
		}
		EACH(m, 2) store<TILES>(p, r, sum[m], panel * 32 + 16 * m, row, rows);
		if (++z == end) break;
		r = next_range;
	}
	wait_async<0>();
	fold_last<32 * WARPS, 32 * WARPS>(p, rows, row, min_i(TALL, rows - row));
}

#define QUANT_FEW(name, lines, n, tiles) \
	KERNEL(128) matmul_##name##_##n(const product *list, int products, const uint32_t *x, const group_sum *scales, int rows, int groups) { \
		matmul_quant_few<lines, tiles>(list, products, x, scales, rows, groups); \
	}
QUANT_FEW(q8, 8, 8, 1)
QUANT_FEW(q8, 8, 16, 2)
QUANT_FEW(q4, 4, 8, 1)
QUANT_FEW(q4, 4, 16, 2)

// matmul_quant_many: many rows. A block has 4 panels and 64 rows, a warp a panel and 32 of
// these; groups pass through four stages of shared memory. 256 threads.
template <int LINES>
DEVICE void matmul_quant_many(const product *list, int products, const uint32_t *x, const group_sum *scales, int rows, int groups) {
	enum { BYTES = 64 + LINES * 128, PANEL = 64 + LINES * LINE, STAGES = 4, ROWS = 64 };
	enum { X = 4 * PANEL, SUMS = X + ROWS * XROW, SIZE = SUMS + ROWS * 8 };
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
			if (thread() < 2 * ROWS) copy_async(to + X + j * XROW + thread() % 2 * 16, (const uint8_t *)(x + at * 8) + thread() % 2 * 16);
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
			weights w = read_weights<LINES>(group);
			EACH(j, 4) add_group<LINES>(acc[0][j], acc[1][j], w, stage + X + (first + 8 * j + g) * XROW, (const group_sum *)(stage + SUMS) + first + 8 * j + 2 * t);
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
