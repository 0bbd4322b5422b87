// Products of few rows, two and more, with quantized weights: matmul_quant's (matmul.cu), the
// same bits, on the tensor cores, which leave instructions enough to keep up with the weights'
// memory.
#include "stream.h"
#include "tile.h"
#include "fold.h"

enum { CHUNK_GROUPS = SPLIT / 32, LINE = 160, XROW = 48 };

// matmul_quant_few: a warp has a panel and 8 * TILES rows. Its groups pass through stages of
// shared memory, where lines lie so far apart that no two lanes read from one bank; activations
// of a chunk are in shared memory, [group][row][XROW], those of the next one in registers. A
// block takes p.per ranges, which lie one after the other. 128 threads.
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
				EACH(j, TILES) {
					const uint32_t *b = (const uint32_t *)(xs + (i * TALL + 8 * j + g) * XROW);
					const group_sum *s = sums + i * TALL + 8 * j + 2 * t;
					EACH(m, 2) {
						int dot[4];
						EACH(e, 4) dot[e] = LINES == 8 ? 0 : -8 * s[e % 2].sum;
						mma_s8(dot, a[m], b[t], b[4 + t]);
						EACH(e, 4) acc[m][j][e] = fma32((float)dot[e], scale[m][e / 2] * s[e % 2].scale, acc[m][j][e]);
					}
				}
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
