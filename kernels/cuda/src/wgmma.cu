// Products of many rows on Hopper: matmul_mma_128's, the same bits where wgmma adds as
// mma.sync does, which a backend tries before it uses them (wgmma.go).
//
// A block computes tiles of 128 outputs and N rows, one after the other, by two
// warpgroups of 64 outputs each. Other warps bring pairs of steps of 32 k through a ring of
// stages in shared memory: weights as mma's A fragments, which are wgmma's from registers,
// activations as core matrices (rows.cu, emit_f16), and with a chunk's last pair the
// factors of its sums. Two blocks, a cluster, compute tiles beside each other of the same
// rows: each brings a step of the activations for both. Tiles are taken in an order by which
// those at work at one time share weights and activations in the second cache. Tiles of 192
// rows need a quarter less of both, and nearly all of a thread's registers; which are faster is
// tried (wgmma.go).
#include "hopper.h"
#include "tile.h"

enum {
	WIDE = 128,         // outputs of a tile
	WIDE_THREADS = 256, // that multiply
	WIDE_HEIGHT = 8,    // tiles of rows that are taken together
};

// stage is how the weights, activations and factors of a pair of steps lie, in bytes.
template <int N>
struct stage {
	enum { STEP_B = N / 8 * B_BYTES, A = 2 * WIDE / 16 * A_BYTES, B = 2 * STEP_B, FACTORS = N * 4, SIZE = A + B + FACTORS };
};

struct alignas(8) two {
	float v[2];
};

// wide is what a kernel is given beside its products.
struct wide {
	const product *list;
	int products;
	const uint8_t *x;  // [row / N][step][row % N / 8][512 bytes]
	const float *back; // [a chunk's first step][row], rows between apart
	long between;
	int rows, steps;
	int across, along, deep; // pairs of blocks of outputs, tiles of rows, ranges or nodes
};

// tile_at is the tile that a block of cluster number i computes.
struct tile_at {
	int block, row, z;
};

template <int N>
DEVICE tile_at find_tile(const wide &w, int i, int rank) {
	int per = w.across * w.along, z = i / per;
	i -= z * per;
	int group = i / (WIDE_HEIGHT * w.across), in = i - group * WIDE_HEIGHT * w.across, height = min_i(WIDE_HEIGHT, w.along - group * WIDE_HEIGHT);
	return {in / height * 2 + rank, (group * WIDE_HEIGHT + in % height) * N, z};
}

// span_at is which leaves a tile sums: the first of p.ranges, and how many.
struct span_at {
	int first, n;
};

template <bool TREE>
DEVICE span_at find_span(const product &p, int z) {
	if (!TREE) return {z, 1};
	return {p.leaves[2 * z], p.leaves[2 * z + 1] - p.leaves[2 * z]};
}

// ring is the stages and their barriers: full counts what has come and the warps that bring
// it, empty which warps of both blocks have done with it. A place in the ring is a stage and its phase's parity.
// Who waits more than patience times goes on with what there is (negative: for ever).
template <int N, int STAGES>
struct ring {
	uint8_t *stages;
	uint32_t full, empty;
	int at, parity, freed;
	int patience;
};

template <int N, int STAGES>
DEVICE void wait_for(ring<N, STAGES> &r, uint32_t barrier, int parity) {
	while (r.patience != 0 && !barrier_try(barrier, parity))
		if (r.patience > 0) r.patience--;
	sync_warp();
}

template <int N, int STAGES>
DEVICE void advance(ring<N, STAGES> &r) {
	if (++r.at == STAGES) r.at = 0, r.parity ^= 1;
}

// free_stage tells both blocks that the warp has done with the oldest stage that it has.
template <int N, int STAGES>
DEVICE void free_stage(ring<N, STAGES> &r) {
	int lane = thread() % 32;
	sync_warp(); // the other lanes have read theirs
	barrier_arrive(r.empty + r.freed * 8, lane & 1, lane < 2);
	if (++r.freed == STAGES) r.freed = 0;
}

// bring fills the ring: the work of so many warps, since a warp begins one copy at a time.
template <int N, int STAGES, bool TREE, int WARPS>
DEVICE void bring(const wide &w, ring<N, STAGES> &r) {
	using S = stage<N>;
	enum { EACH_WARP = WIDE / 16 / WARPS };
	int warp = thread() / 32 - WIDE_THREADS / 32, lane = thread() % 32, mine = warp * EACH_WARP + lane, rank = cluster_rank();
	for (int i = block_x() / 2; i < w.across * w.along * w.deep; i += blocks_x() / 2) {
		tile_at t = find_tile<N>(w, i, rank);
		product p = find(w.list, w.products, t.block);
		int tile = (t.block - p.first) * (WIDE / 16), tiles = max_i(0, min_i(WIDE / 16, (p.out + 15) / 16 - tile));
		const uint8_t *a = p.w + (long)(tile + mine) * p.stride, *b = w.x + (long)(t.row / N) * w.steps * S::STEP_B;
		span_at s = find_span<TREE>(p, t.z);
		for (int leaf = s.first; leaf < s.first + s.n; leaf++) {
			range k = p.ranges[leaf];
			int n = (k.n + STEP - 1) / STEP;
			for (int i = 0; i < n; i += 2) {
				int steps = min_i(2, n - i), step = k.lo + i, chunk = k.lo + i / CHUNK_STEPS * CHUNK_STEPS;
				bool last = i + 2 >= n || (i + 2) % CHUNK_STEPS == 0; // of the chunk
				wait_for(r, r.empty + r.at * 8, r.parity ^ 1);
				uint32_t full = r.full + r.at * 8, to = shared_at(r.stages) + r.at * S::SIZE;
				if (lane == 0) { // each warp arrives, so that none can be a phase behind
					int bytes = max_i(0, min_i(EACH_WARP, tiles - warp * EACH_WARP)) * A_BYTES + (warp == WARPS - 1 ? (int)S::STEP_B : 0);
					barrier_expect(full, steps * bytes + (warp == WARPS - 1 && last ? S::FACTORS : 0));
				}
				sync_warp();
				if (lane < EACH_WARP && mine < tiles) copy_bulk(to + mine * 2 * A_BYTES, a + (long)step * A_BYTES, steps * A_BYTES, full);
				if (warp == WARPS - 1 && lane == EACH_WARP) {
					if (rank < steps) copy_bulk_all(to + S::A + rank * S::STEP_B, b + (long)(step + rank) * S::STEP_B, S::STEP_B, full, 3);
					if (last) copy_bulk(to + S::A + S::B, w.back + chunk * w.between + t.row, S::FACTORS, full);
				}
				advance(r);
			}
		}
	}
}

// multiply_step begins the multiplication of one of a stage's steps, of which a is the
// warp's weights; ADD to what is in acc.
template <int N, bool ADD>
DEVICE void multiply_step(float acc[N / 8][4], uint32_t a[2][4], const uint8_t *at, int step) {
	const uint8_t *from = at + (thread() / 32 * 2 + step) * A_BYTES + thread() % 32 * 16;
	EACH(h, 2) {
		quad q = *(const quad *)(from + h * 512);
		EACH(i, 4) a[h][i] = q.v[i];
	}
	uint64_t b = matrix_at(shared_at(at + stage<N>::A + step * stage<N>::STEP_B), 128, B_BYTES);
	wgmma_fence();
	wgmma_f16<N, ADD>(acc, a[0], b);
	wgmma_f16<N, true>(acc, a[1], b + (256 >> 4));
	wgmma_commit();
}

// take waits for the next stage.
template <int N, int STAGES>
DEVICE const uint8_t *take(ring<N, STAGES> &r) {
	wait_for(r, r.full + r.at * 8, r.parity);
	const uint8_t *at = r.stages + r.at * stage<N>::SIZE;
	advance(r);
	return at;
}

// multiply_chunk leaves a chunk's sums in acc, and returns where their factors are, in a
// stage that is to be freed then. While a step is multiplied the next one begins.
template <int N, int STAGES>
DEVICE const two *multiply_chunk(float acc[N / 8][4], ring<N, STAGES> &r, int steps) {
	uint32_t a[2][2][4];
	const uint8_t *at = take(r);
	multiply_step<N, false>(acc, a[0], at, 0);
	for (int i = 2; i < steps; i += 2) {
		multiply_step<N, true>(acc, a[1], at, 1);
		wgmma_wait<1>();
		at = take(r);
		multiply_step<N, true>(acc, a[0], at, 0);
		wgmma_wait<1>();
		free_stage(r);
	}
	if (steps % 2 == 0) multiply_step<N, true>(acc, a[1], at, 1);
	wgmma_wait<0>();
	return (const two *)(at + stage<N>::A + stage<N>::B) + thread() % 4;
}

// A tree's sums that wait for others, by level (keep_sum, add_kept): the lowest in
// registers, the next SHARED_LEVELS in shared memory, the others in the device's. Each
// thread has its own.
enum { SHARED_LEVELS = 1, TREE_ROWS = 128, TREE_SUMS = TREE_ROWS * WIDE * 4 };

struct waiting {
	uint8_t *shared, *global;
	int lowest; // the level that is in registers
};

DEVICE quad *place_of(const waiting &s, int level) {
	level -= s.lowest + 1;
	uint8_t *at = level < SHARED_LEVELS ? s.shared + level * TREE_SUMS : s.global + (long)(level - SHARED_LEVELS) * TREE_SUMS;
	return (quad *)at + thread();
}

DEVICE void keep_sum(const waiting &s, int level, const float sum[TREE_ROWS / 8][4], float held[TREE_ROWS / 8][4]) {
	if (level == s.lowest) {
		EACH(j, TREE_ROWS / 8) EACH(i, 4) held[j][i] = sum[j][i];
		return;
	}
	quad *to = place_of(s, level);
	EACH(j, TREE_ROWS / 8) {
		quad q;
		EACH(i, 4) q.v[i] = bits(sum[j][i]);
		to[j * WIDE_THREADS] = q;
	}
}

DEVICE void add_kept(const waiting &s, int level, float sum[TREE_ROWS / 8][4], const float held[TREE_ROWS / 8][4]) {
	if (level == s.lowest) {
		EACH(j, TREE_ROWS / 8) EACH(i, 4) sum[j][i] = held[j][i] + sum[j][i];
		return;
	}
	const quad *from = place_of(s, level);
	EACH(j, TREE_ROWS / 8) {
		quad q = from[j * WIDE_THREADS];
		EACH(i, 4) sum[j][i] = from_bits(q.v[i]) + sum[j][i];
	}
}

// store_tile stores a thread's sums, of which the first is of that output and row.
template <int N>
DEVICE void store_tile(float *dst, const float sum[N / 8][4], float scale, int out, int outs, int row, int rows) {
	dst += (long)row * outs + out;
	bool wanted[2] = {out < outs, out + 8 < outs};
	EACH(j, N / 8) EACH(e, 2) {
		bool there = row + 8 * j + e < rows;
		EACH(h, 2) if (there && wanted[h]) dst[8 * h] = sum[j][2 * h + e] * scale;
		dst += e ? 7 * outs : outs;
	}
}

// multiply empties the ring and stores tiles: two warpgroups' work. TREE sums a node's
// leaves by the tree, as fold.h does, where each is of one slot. Before leaf i those that
// came before it are in sums of as many leaves as i has bits, the last one in sum, where
// it stays if it is a leaf's and the next one has a single chunk (s.lowest is 1 where all
// have). The second warpgroup begins a stage later than the first, so that one multiplies
// while the other adds a chunk or stores a tile.
template <int N, int STAGES, bool TREE>
DEVICE void multiply(const wide &w, ring<N, STAGES> &r, const waiting &s) {
	float acc[N / 8][4], sum[N / 8][4] = {}, held[TREE ? N / 8 : 1][4] = {};
	int rank = cluster_rank();
	bool late = thread() >= WIDE_THREADS / 2;
	for (int i = block_x() / 2; i < w.across * w.along * w.deep; i += blocks_x() / 2) {
		tile_at t = find_tile<N>(w, i, rank);
		product p = find(w.list, w.products, t.block);
		span_at leaves = find_span<TREE>(p, t.z);
		range k;
		for (int leaf = 0; leaf < leaves.n; leaf++) {
			k = p.ranges[leaves.first + leaf];
			bool beside = TREE && leaf % 2 == 1 && s.lowest == 1;
			if constexpr (TREE) if (leaf > 0 && !beside) keep_sum(s, __builtin_ctz(leaf), sum, held);
			int n = (k.n + STEP - 1) / STEP;
			if (late && n > 2) wait_for(r, r.full + 8, 0);
			late = false;
			for (int c = 0; c < n; c += CHUNK_STEPS) {
				const two *factors = multiply_chunk(acc, r, min_i(CHUNK_STEPS, n - c));
				EACH(j, N / 8) {
					two f = factors[4 * j];
					EACH(e, 4) {
						if (beside) sum[j][e] += fma32(acc[j][e], f.v[e % 2], 0.0f) * p.scale;
						else sum[j][e] = fma32(acc[j][e], f.v[e % 2], c == 0 ? 0.0f : sum[j][e]);
					}
				}
				free_stage(r);
			}
			if constexpr (!TREE) break;
			else {
				if (!beside) EACH(j, N / 8) EACH(e, 4) sum[j][e] *= p.scale;
				int done = leaf + 1 < leaves.n ? leaf & ~(leaf + 1) : leaf; // levels
				if (beside) done &= ~1;
				for (; done; done &= done - 1) add_kept(s, __builtin_ctz(done), sum, held);
			}
		}
		float *dst = TREE ? p.dst + t.z * p.between : p.parts + (long)k.slot * w.rows * p.out;
		store_tile<N>(dst, sum, TREE ? 1.0f : p.scale, (t.block - p.first) * WIDE + thread() / 32 * 16 + thread() % 32 / 4, p.out, t.row + thread() % 4 * 2, w.rows);
	}
}

template <int N, int STAGES, bool TREE, int THREADS>
DEVICE void matmul_wide(const wide &w, uint8_t *global, int lowest, int levels, int patience) {
	begin_after();
	DYNAMIC_SHARED(arena);
	uint8_t *sums = arena + STAGES * stage<N>::SIZE, *barriers = sums + (TREE ? SHARED_LEVELS * TREE_SUMS : 0);
	ring<N, STAGES> r = {arena, shared_at(barriers), shared_at(barriers) + STAGES * 8, 0, 0, 0, patience};
	if (thread() == 0) {
		for (int i = 0; i < STAGES; i++) barrier_init(r.full + i * 8, (THREADS - WIDE_THREADS) / 32), barrier_init(r.empty + i * 8, 2 * WIDE_THREADS / 32);
		barrier_ready();
	}
	cluster_sync();
	enum { DEAL = THREADS == 384 }; // registers among three warpgroups
	// At the end nobody may still reach this block's barriers.
	if (thread() < WIDE_THREADS) {
		if (DEAL) more_registers<232>();
		multiply<N, STAGES, TREE>(w, r, {sums, global + (long)block_x() * levels * TREE_SUMS, lowest});
		cluster_sync();
	} else {
		if (DEAL) fewer_registers<40>();
		bring<N, STAGES, TREE, (THREADS - WIDE_THREADS) / 32>(w, r);
		cluster_sync();
	}
}

// matmul_wgmma: each z of the tiles is a range of chunks, as the grid's of matmul_mma_128.
// Grid: so many blocks, a multiple of two, as work at one time.
#define WGMMA(name, threads, n, stages) \
	ALONE(threads) name(const product *list, int products, const uint8_t *x, const float *back, int rows, int steps, long between, int across, int along, int deep, int patience) { \
		matmul_wide<n, stages, false, threads>({list, products, x, back, between, rows, steps, across, along, deep}, nullptr, 0, 0, patience); \
	}
WGMMA(matmul_wgmma_128, 320, 128, 6)
WGMMA(matmul_wgmma_192, 384, 192, 5)

// matmul_wgmma_tree: a node's leaves, each of one range, by the tree, straight to dst. sums has
// levels tiles' for each block.
ALONE(384) matmul_wgmma_tree(const product *list, int products, const uint8_t *x, const float *back, int rows, int steps, long between, int across, int along, int deep, int patience,
	uint8_t *sums, int lowest, int levels) {
	matmul_wide<TREE_ROWS, 5, true, 384>({list, products, x, back, between, rows, steps, across, along, deep}, sums, lowest, levels, patience);
}

// probe_wgmma: 8 products of 64x128x16 a warpgroup and round, of numbers without a pattern.
KERNEL(256) probe_wgmma(float *dst, int n, int seed) {
	begin_after();
	DYNAMIC_SHARED(arena);
	enum { MATRICES = 4 }; // of 16 k
	for (int i = thread(); i < MATRICES * 128 * 8; i += 256) {
		uint32_t v = (uint32_t)(seed + i) * 2654435761u;
		((uint32_t *)arena)[i] = (v >> 3 & 0x83ff83ff) | 0x38003800;
	}
	shared_written();
	sync();
	uint32_t a[4];
	EACH(i, 4) a[i] = ((uint32_t)(seed + 4 * thread() + i) * 2246822519u & 0x83ff83ff) | 0x38003800;
	float acc[16][4] = {};
	uint64_t b = matrix_at(shared_at(arena), 128, 256);
	wgmma_fence();
	for (int i = 0; i < n; i++) {
		EACH(j, 8) wgmma_f16<128, true>(acc, a, b + (uint64_t)(j % MATRICES * 4096 >> 4));
		wgmma_commit();
		wgmma_wait<0>();
		wgmma_fence();
	}
	float sum = 0;
	EACH(j, 16) EACH(i, 4) sum += acc[j][i];
	if (sum == -1.0f) dst[thread()] = sum;
}
