// Products with matrices of codes (kernels.Coding) on the tensor cores. A code is exact
// in binary16: groups of codes are multiplied by the activations that matmul_mma takes
// (rows.cu, emit_codes), and a group's sum by its scale, in float32. So the weights are
// not rounded.
//
// Along K a step is 16 values of one leaf and one group, in a row, padded with zeros
// where these end; a leaf has an even number of steps; 32 of them are a chunk, of which the
// steps of one group are a segment (struct segments). A chunk's sum is, over its segments
// in order,
//
//	sum = fma(scale, codes · x, sum); with offsets also sum = fma(offset, Σ x, sum)
//
// A tile of 16 outputs is a head for each segment: its scales, as stored, then its
// offsets, float32, if any; then, from p.codes on, for each step mma's A fragment in
// codes. A lane's are a word of nibbles, output lane/4's in the even bytes and output
// lane/4 + 8's in the odd ones, the low nibbles first along K, of values 2t and 2t + 1
// the second in the upper half; or two words of bytes, one for each output, in which values
// 2t, 2t + 8, 2t + 1, 2t + 9 follow one another. 4-bit codes have p.bias added, int8 128.
//
// Activations are, for each tile of 8 rows and step, mma's B fragment, 8 bytes a lane;
// sums of them are sums[tile of 8 rows][segment][8].
#include "fold.h"
#include "stream.h"
#include "tile.h"

enum {
	CODE_STEPS = 32,       // of a chunk
	X_BYTES = 256,         // of a step's activations
	HEAD_BYTES = 128,      // a segment's head has at most
	CODES_SUMS = 32 << 10, // of a tile of 128 outputs and 64 rows
};

// a_bytes is the size of a step of a tile's codes.
constexpr int a_bytes(int code) { return code == U4 ? 128 : 256; }

struct alignas(8) word_pair {
	uint32_t v[2];
};

// e4m3 is two values of that type, in the upper bytes of halves, as binary16, divided by
// 2^8; subnormals too.
DEVICE uint32_t e4m3(uint32_t w) { return (w & 0x80008000) | (w >> 1 & 0x3f803f80); }

// fragment is a lane's A fragment from its codes. An integer in the lowest bits of 1024 is
// added to it, four bits further up 16 times; all that comes after is exact.
template <int CODE>
DEVICE void fragment(uint32_t a[4], const uint8_t *codes, int bias) {
	const uint32_t ONE = 0x3c003c00, SIXTEENTH = 0x2c002c00, BASE = 0x64006400;
	if (CODE == U4) {
		uint32_t w = *(const uint32_t *)codes, more = (uint32_t)bias * 0x10001;
		uint32_t low = 0xe400e400 + more, high = 0xd400d400 + more * 16; // -(1024 + bias), -(64 + bias)
		EACH(h, 2) {
			a[h] = fma_f16x2((w >> 8 * h & 0x000f000f) | BASE, ONE, low);
			a[2 + h] = fma_f16x2((w >> 8 * h & 0x00f000f0) | BASE, SIXTEENTH, high);
		}
		return;
	}
	word_pair w = *(const word_pair *)codes;
	EACH(h, 2) {
		a[h] = CODE == F8 ? e4m3(w.v[h] << 8) : fma_f16x2((w.v[h] & 0x00ff00ff) | BASE, ONE, 0xe480e480); // -(1024 + 128)
		a[2 + h] = CODE == F8 ? e4m3(w.v[h]) : fma_f16x2((w.v[h] >> 8 & 0x00ff00ff) | BASE, ONE, 0xe480e480);
	}
}

// head is what a lane needs of a segment's head: of outputs lane/4 and lane/4 + 8.
struct head {
	float scale[2], offset[2];
};

// read_head multiplies scales by 2^112 where that makes binary16 of what is in float32's
// place, and by 2^8 for e4m3's sake.
template <int CODE>
DEVICE head read_head(const product &p, const uint8_t *from) {
	float up = (p.scales == F16 ? 0x1p112f : 1.0f) * (CODE == F8 ? 0x1p8f : 1.0f);
	head h = {};
	EACH(i, 2) {
		int out = thread() % 32 / 4 + 8 * i;
		uint32_t s = p.scales == F32 ? ((const uint32_t *)from)[out] : (uint32_t)((const uint16_t *)from)[out] << 16;
		if (p.scales == F16) s = (s & 0x80000000) | (s >> 3 & 0x0fffe000);
		h.scale[i] = from_bits(s) * up;
		if (p.offsets) h.offset[i] = ((const float *)(from + p.offsets))[out];
	}
	return h;
}

// read_sums reads the sums of activations of a tile's rows that a lane has sums of.
DEVICE void read_sums(float v[2], const void *from) { EACH(e, 2) v[e] = ((const float *)from)[thread() % 4 * 2 + e]; }

// add_segment adds a segment's products of TILES tiles of 8 rows to the chunk's, and
// begins anew.
template <int TILES>
DEVICE void add_segment(float chunk[TILES][4], float acc[TILES][4], const head &h, const float x[TILES][2], bool offsets) {
	EACH(j, TILES) EACH(e, 4) {
		chunk[j][e] = fma32(h.scale[e / 2], acc[j][e], chunk[j][e]);
		if (offsets) chunk[j][e] = fma32(h.offset[e / 2], x[j][e % 2], chunk[j][e]);
		acc[j][e] = 0;
	}
}

DEVICE segments segments_of(const product &p, int step) { return ((const segments *)p.groups)[step]; }

// ends_of has a bit for each of n steps of a chunk with which a segment ends.
DEVICE uint32_t ends_of(segments s, int n) { return s.begins >> 1 | 1u << (n - 1); }

// matmul_codes: few rows, bound by the weights' memory. A warp has a tile of outputs
// and 8 * TILES rows; activations and heads of a chunk are in shared memory. A block takes
// p.per ranges, which lie one after the other. 128 threads.
template <int CODE, int TILES>
DEVICE void matmul_codes(const product *list, int products, const uint8_t *x, const float *back, int rows, int steps, const float *sums, int heads) {
	enum { A_BYTES = a_bytes(CODE), BYTES = 512, PER = BYTES / A_BYTES, STAGES = TILES == 1 ? 8 : 6 };
	SHARED uint8_t rings[WARPS][STAGES * BYTES];
	SHARED uint8_t head_space[WARPS][CODE_STEPS * HEAD_BYTES];
	SHARED uint8_t b[TILES][CODE_STEPS * X_BYTES];
	SHARED float x_sums[TILES][CODE_STEPS * 8];
	launch_next();
	product p = find(list, products);
	int z = block_z() * p.per, end = min_i(z + p.per, p.slots);
	range r = p.ranges[z], last = p.ranges[end - 1];
	int warp = thread() / 32, lane = thread() % 32, tile = (block_x() - p.first) * WARPS + warp, row = block_y() * 8 * TILES;
	bool mine = tile * 16 < p.out;
	const uint8_t *w = p.w + tile * p.stride;
	int all = mine ? last.lo + last.n / 16 - r.lo : 0;
	stream<BYTES, STAGES> codes = begin<BYTES, STAGES>(rings[warp], w + p.codes + (long)r.lo * A_BYTES, all * A_BYTES);
	segments s = segments_of(p, r.lo);
	await_earlier();
	for (int at = 0;;) { // step of the block's
		float sum[TILES][4] = {};
		for (int c = 0, n = r.n / 16; c < n; c += CODE_STEPS) {
			int first = r.lo + c, len = min_i(CODE_STEPS, n - c), count = __builtin_popcount(s.begins);
			sync(); // what is in shared memory is read no more
			for (int i = lane * 16; i < (mine ? count * p.head : 0); i += 512) copy_async(head_space[warp] + i, w + (long)s.first * p.head + i);
			EACH(j, TILES) {
				for (int i = thread() * 16; i < len * X_BYTES; i += WARPS * 512) copy_async(b[j] + i, x + ((long)(row / 8 + j) * steps + first) * X_BYTES + i);
				if (p.offsets && thread() < count * 2) copy_async(x_sums[j] + thread() * 4, sums + ((long)(row / 8 + j) * heads + s.first) * 8 + thread() * 4);
			}
			commit_async();
			wait_async<0>();
			sync();
			float acc[TILES][4] = {}, chunk[TILES][4] = {};
			uint32_t ends = ends_of(s, len);
			int segment = 0;
			head h = {};
			for (int i = 0; i < (mine ? len : 0);) {
				int skip = at % PER; // of a stage that the chunk before began
				const uint8_t *stage = (skip ? place(codes, at / PER) : next(codes, at / PER)) + lane * (A_BYTES / 32);
				EACH(u, PER) if (u >= skip && i < len) {
					if (s.begins >> i & 1) h = read_head<CODE>(p, head_space[warp] + segment * p.head);
					uint32_t a[4];
					fragment<CODE>(a, stage + u * A_BYTES, p.bias);
					EACH(j, TILES) {
						word_pair q = *(const word_pair *)(b[j] + i * X_BYTES + lane * 8);
						mma_f16(acc[j], a, q.v[0], q.v[1]);
					}
					if (ends >> i & 1) {
						float v[TILES][2] = {};
						if (p.offsets) EACH(j, TILES) read_sums(v[j], x_sums[j] + segment * 8);
						add_segment<TILES>(chunk, acc, h, v, p.offsets);
						segment++;
					}
					i++, at++;
				}
			}
			add_chunk<TILES>(sum, chunk, back + (long)row * steps + first, steps);
			if (c + CODE_STEPS < n) s = segments_of(p, first + CODE_STEPS);
		}
		store<TILES>(p, r, sum, tile * 16, row, rows);
		if (++z == end) break;
		r = p.ranges[z];
		s = segments_of(p, r.lo);
	}
	wait_async<0>();
	fold_last<32 * WARPS, 16 * WARPS>(find(list, products), rows, row, min_i(8 * TILES, rows - row));
}

#define CODES(name, code, n, tiles) \
	KERNEL(128) matmul_codes_##name##_##n(const product *list, int products, const uint8_t *x, const float *back, int rows, int steps, const float *sums, int heads) { \
		matmul_codes<code, tiles>(list, products, x, back, rows, steps, sums, heads); \
	}
CODES(u4, U4, 8, 1)
CODES(u4, U4, 16, 2)
CODES(i8, I8, 8, 1)
CODES(i8, I8, 16, 2)
CODES(f8, F8, 8, 1)
CODES(f8, F8, 16, 2)

// kept is where sums of a node's leaves wait for the others', each thread's own: by
// level, from the lowest that there is on, the first in shared memory, the others in the
// device's.
struct kept {
	uint8_t *shared, *global;
	int lowest;
};

template <int TILES>
DEVICE quad *place_of(const kept &k, int level) {
	enum { BYTES = 256 * TILES * 16 };
	return (quad *)(level == k.lowest ? k.shared : k.global + (long)(level - k.lowest - 1) * BYTES) + thread();
}

template <int TILES>
DEVICE void keep_sum(const kept &k, int level, const float sum[TILES][4]) {
	quad *to = place_of<TILES>(k, level);
	EACH(j, TILES) {
		quad q;
		EACH(i, 4) q.v[i] = bits(sum[j][i]);
		to[j * 256] = q;
	}
}

template <int TILES>
DEVICE void add_kept(const kept &k, int level, float sum[TILES][4]) {
	const quad *from = place_of<TILES>(k, level);
	EACH(j, TILES) {
		quad q = from[j * 256];
		EACH(i, 4) sum[j][i] = from_bits(q.v[i]) + sum[j][i];
	}
}

// codes_tile is the sums of a tile of 128 outputs, from tile * 16 on, and 16 * TILES rows over
// count ranges that lie one after the other: a leaf's, or with TREE a node's leaves,
// by the tree, as fold.h adds them. Before leaf i those before it are in sums of as many leaves
// as i has bits; where all leaves are of one chunk (wait.lowest is 1) the last one is in
// registers if it is a leaf's. Two steps at a time pass through stages of shared memory.
template <int CODE, int TILES, bool TREE>
DEVICE void codes_tile(float sum[2 * TILES][4], const product &p, const range *ranges, int count, const uint8_t *x, const float *back, int steps, const float *sums, int heads, int tile, int row, const kept &wait) {
	enum { A_BYTES = a_bytes(CODE), STAGES = 4, ROW_TILES = 2 * TILES };
	enum { B = 8 * 2 * A_BYTES, HEADS = B + ROW_TILES * 2 * X_BYTES, SUMS = HEADS + 2 * 8 * HEAD_BYTES, SIZE = SUMS + 2 * ROW_TILES * 32 };
	SHARED uint8_t ring[STAGES][SIZE];
	int warp = thread() / 32, lane = thread() % 32, base = ranges[0].lo;
	segments ahead = {};
	uint32_t ahead_ends = 0;
	int leaf_ahead = 0, in = 0, left = ranges[0].n / 16; // where fetch is
	auto fetch = [&](int stage) {
		if (left == 0 && ++leaf_ahead < count) in = 0, left = ranges[leaf_ahead].n / 16;
		if (left > 0) {
			uint8_t *to = ring[stage % STAGES];
			int s = base + stage * 2, c = in % CODE_STEPS;
			if (c == 0) ahead = segments_of(p, s), ahead_ends = ends_of(ahead, min_i(CODE_STEPS, left));
			int at = thread() * 16, q = at / (2 * A_BYTES), i = at % (2 * A_BYTES);
			if (q < 8 && (tile + q) * 16 < p.out) copy_async(to + at, p.w + (tile + q) * p.stride + p.codes + (long)s * A_BYTES + i);
			q = at / (2 * X_BYTES), i = at % (2 * X_BYTES);
			if (q < ROW_TILES) copy_async(to + B + at, x + ((long)(row / 8 + q) * steps + s) * X_BYTES + i);
			// Of a step with which a segment ends, its heads and sums.
			int step = thread() / 64 % 2, segment = ahead.first + __builtin_popcount(ahead.begins & ((2u << (c + step)) - 1)) - 1;
			bool last = ahead_ends >> (c + step) & 1;
			q = thread() % 64 / 8, i = thread() % 8 * 16;
			if (last && thread() < 128 && i < p.head && (tile + q) * 16 < p.out)
				copy_async(to + HEADS + (step * 8 + q) * HEAD_BYTES + i, p.w + (tile + q) * p.stride + (long)segment * p.head + i);
			if (last && thread() >= 128 && p.offsets && q < ROW_TILES && i < 32)
				copy_async(to + SUMS + (step * ROW_TILES + q) * 32 + i, sums + ((long)(row / 8 + q) * heads + segment) * 8 + i / 4);
			in += 2, left -= 2;
		}
		commit_async();
	};
	ROLLED for (int i = 0; i < STAGES - 1; i++) fetch(i);
	int out = warp % 4 * 2, to = warp / 4 * TILES, at = 0; // the warp's first tiles; the step
	for (int leaf = 0; leaf < count; leaf++) {
		bool beside = TREE && wait.lowest == 1 && leaf % 2 == 1;
		if (TREE && leaf > 0 && !beside) keep_sum<2 * TILES>(wait, __builtin_ctz(leaf), sum);
		for (int c = 0, n = ranges[leaf].n / 16; c < n; c += CODE_STEPS) {
			int first = base + at, len = min_i(CODE_STEPS, n - c);
			uint32_t ends = ends_of(segments_of(p, first), len);
			float acc[2][TILES][4] = {}, chunk[2][TILES][4] = {};
			for (int i = 0; i < len; i += 2, at += 2) {
				wait_async<STAGES - 2>();
				sync();
				fetch(at / 2 + STAGES - 1);
				const uint8_t *stage = ring[at / 2 % STAGES];
				EACH(u, 2) {
					uint32_t a[2][4];
					EACH(m, 2) fragment<CODE>(a[m], stage + ((out + m) * 2 + u) * A_BYTES + lane * (A_BYTES / 32), p.bias);
					EACH(j, TILES) {
						word_pair q = *(const word_pair *)(stage + B + ((to + j) * 2 + u) * X_BYTES + lane * 8);
						EACH(m, 2) mma_f16(acc[m][j], a[m], q.v[0], q.v[1]);
					}
					if (ends >> (i + u) & 1) {
						float x_sums[TILES][2] = {};
						if (p.offsets) EACH(j, TILES) read_sums(x_sums[j], stage + SUMS + (u * ROW_TILES + to + j) * 32);
						EACH(m, 2) add_segment<TILES>(chunk[m], acc[m], read_head<CODE>(p, stage + HEADS + (u * 8 + out + m) * HEAD_BYTES), x_sums, p.offsets);
					}
				}
			}
			EACH(j, TILES) EACH(e, 4) {
				float f = back[(long)(row + (to + j) * 8 + lane % 4 * 2 + e % 2) * steps + first];
				EACH(m, 2) {
					float &to = sum[m * TILES + j][e], v = fma32(chunk[m][j][e], f, beside || c == 0 ? 0.0f : to);
					to = beside ? to + v : v;
				}
			}
		}
		int done = leaf + 1 < count ? leaf & ~(leaf + 1) : leaf; // the levels that it completes
		if (beside) done &= ~1;
		for (; TREE && done; done &= done - 1) add_kept<2 * TILES>(wait, __builtin_ctz(done), sum);
	}
	wait_async<0>();
	sync(); // before another tile's copies
}

template <int TILES>
DEVICE void store_codes(const product &p, int slot, const float sum[2 * TILES][4], int tile, int row, int rows) {
	int warp = thread() / 32;
	EACH(m, 2) store<TILES>(p, {0, 0, slot, 0}, sum + m * TILES, (tile + warp % 4 * 2 + m) * 16, row + warp / 4 * TILES * 8, rows);
}

// matmul_codes_many: more rows, which share what is loaded and decoded. A block has 128
// outputs and 16 * TILES rows, a warp 32 of those and 8 * TILES of these. 256 threads.
template <int CODE, int TILES>
DEVICE void matmul_codes_many(const product *list, int products, const uint8_t *x, const float *back, int rows, int steps, const float *sums, int heads) {
	begin_after();
	product p = find(list, products);
	range r = p.ranges[block_z()];
	int tile = (block_x() - p.first) * 8, row = block_y() * 16 * TILES;
	float sum[2 * TILES][4] = {};
	codes_tile<CODE, TILES, false>(sum, p, p.ranges + block_z(), 1, x, back, steps, sums, heads, tile, row, {});
	p = find(list, products); // again, rather than that all of it is kept in registers
	store_codes<TILES>(p, r.slot, sum, tile, row, rows);
	fold_last<256, 128>(p, rows, row, min_i(16 * TILES, rows - row));
}

// matmul_codes_tree: matmul_codes_many of nodes whose leaves are of one range each, straight to
// dst. Blocks compute tiles one after the other; global has levels tiles' sums for each.
template <int CODE>
DEVICE void matmul_codes_tree(const product *list, int products, const uint8_t *x, const float *back, int rows, int steps, const float *sums, int heads,
	int across, int nodes, uint8_t *global, int lowest, int levels) {
	enum { TILES = 4, ROWS = 16 * TILES };
	begin_after();
	DYNAMIC_SHARED(shared);
	kept wait = {shared, global + (long)block_x() * levels * CODES_SUMS, lowest};
	int along = (rows + ROWS - 1) / ROWS;
	for (int i = block_x(); i < across * along * nodes; i += blocks_x()) {
		int row = i % along * ROWS, block = i / along % across, node = i / along / across;
		product p = find(list, products, block);
		int leaf = p.leaves[2 * node], count = p.leaves[2 * node + 1] - leaf, tile = (block - p.first) * 8;
		float sum[2 * TILES][4] = {};
		codes_tile<CODE, TILES, true>(sum, p, p.ranges + leaf, count, x, back, steps, sums, heads, tile, row, wait);
		store_codes<TILES>(find(list, products, block), node, sum, tile, row, rows);
	}
}

#define CODES_MANY(name, code) \
	KERNEL(256) matmul_codes_##name##_32(const product *list, int products, const uint8_t *x, const float *back, int rows, int steps, const float *sums, int heads) { \
		matmul_codes_many<code, 2>(list, products, x, back, rows, steps, sums, heads); \
	} \
	KERNEL(256) matmul_codes_##name##_64(const product *list, int products, const uint8_t *x, const float *back, int rows, int steps, const float *sums, int heads) { \
		matmul_codes_many<code, 4>(list, products, x, back, rows, steps, sums, heads); \
	} \
	KERNEL(256) matmul_codes_##name##_tree(const product *list, int products, const uint8_t *x, const float *back, int rows, int steps, const float *sums, int heads, \
		int across, int nodes, uint8_t *global, int lowest, int levels) { \
		matmul_codes_tree<code>(list, products, x, back, rows, steps, sums, heads, across, nodes, global, lowest, levels); \
	}
CODES_MANY(u4, U4)
CODES_MANY(i8, I8)
CODES_MANY(f8, F8)
