// Attention on the tensor cores, over keys and values in bfloat16 or binary16, to which
// queries and weights are rounded too (binary16 queries relative to their head's largest). A warp has a tile of 16: rows of one sequence, one
// after the other, times query heads of one KV head. 64 positions (a span; they begin at
// multiples of 64) are computed by themselves and joined to those before them in the chunk.
// What a row and head come to depends on nothing else in the tile: positions that it does not
// see have weight zero, and a span of these alone is left out.
#include "paged.h"

enum { SPAN = 64, SPANS = CHUNK / SPAN, TILE = 16, DIMS = 128 };

// tile is rows [first, first + n) of the step's list.
struct tile {
	int first, n;
};

template <int TYPE>
DEVICE uint32_t pack(float a, float b) { return TYPE == F16 ? pack_f16(a, b) : pack_bf16(a, b); }

template <int TYPE>
DEVICE void mma(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
	if (TYPE == F16) mma_f16(c, a, b0, b1);
	else mma_bf16(c, a, b0, b1);
}

// finite clears elements that are not finite: their exponent's bits are all ones, and
// one more carries into the place of the sign. It reports whether there are any.
template <int TYPE>
DEVICE uint32_t finite(quad &q) {
	const uint32_t exponent = TYPE == F16 ? 0x7c007c00u : 0x7f807f80u, least = TYPE == F16 ? 0x04000400u : 0x00800080u;
	uint32_t odd = 0;
	EACH(i, 4) {
		uint32_t carry = ((q.v[i] & exponent) + least) & 0x80008000u;
		odd |= carry;
		q.v[i] &= ~((carry >> 15) * 0xffffu);
	}
	return odd;
}

// attend_mma: as attend (attention.cu), whose results it has, without a soft cap, for
// heads of at most 128 elements. The order of a head's elements along k is the same for
// queries and keys, and such that a lane loads 16 bytes: its eight of each 32. Element
// g * NT + j of a value is column g of the product's tile j. Grid: tiles / 4 x kv heads
// x chunks; 128 threads, a warp a tile. Where there are few tiles they are spread: a block
// has one, a warp a span of it, which are joined at the end, by the same operations; and the
// last block of a tile and KV head to end, which ended counts, merges the chunks into dst.
template <int TYPE>
DEVICE void attend_tile(float *dst, uint32_t *ended, float *part, const float *q, const uint16_t *keys, const uint16_t *values, int block, int kv_heads, int dim, const query *rows,
	const int *tables, const tile *tiles, int n_tiles, const int *first_head, int heads, int window, float scale, int first_chunk, int chunks, int spread) {
	enum { D = 4, NT = 4 * D, HALF = NT / 2, PITCH = DIMS + 8 };
	SHARED float space[SPANS][TILE * PITCH]; // a warp's: weights, where values are not finite; then, if spread, its sums
	SHARED float tops[SPANS][TILE], totals[SPANS][TILE], olds[SPANS][TILE], nows[SPANS][TILE];
	launch_next();
	int warp = thread() / 32, lane = thread() % 32, g = lane / 4, t = lane % 4;
	int index = spread ? block_x() : block_x() * 4 + warp, kv = block_y(), chunk = first_chunk + block_z();
	tile mine = tiles[min_i(index, n_tiles - 1)];
	query first = rows[mine.first];
	const int *table = tables + first.table;
	int lo = max_i(chunk * CHUNK, window > 0 ? first.pos - window + 1 : 0), hi = min_i((chunk + 1) * CHUNK, first.pos + mine.n);
	if (index >= n_tiles || first.row < 0 || lo >= hi) hi = lo; // nothing to do
	int begin = lo / SPAN * SPAN, end = hi; // the warp's
	if (spread) {
		end = min_i(hi, chunk * CHUNK + (warp + 1) * SPAN);
		begin = max_i(begin, chunk * CHUNK + warp * SPAN);
	}
	int shift = 31 - __builtin_clz(block); // a power of two
	auto vector = [&](int p) { return (((long)table[p >> shift] << shift | (p & (block - 1))) * kv_heads + kv) * dim; };
	auto bring = [&](const uint16_t *mem, int b) { // a span's keys or values near
		EACH(i, SPAN / 32) {
			int p = b + 32 * i + lane;
			if (p < lo || p >= end) continue;
			long at = vector(p);
			EACH(j, DIMS / 64) if (64 * j < dim) prefetch(mem + at + 64 * j);
		}
	};
	bring(keys, begin);
	if (spread) bring(values, begin);
	await_earlier();
	for (int base = first_head[kv]; base < first_head[kv + 1] && lo < hi; base += TILE) {
		int group = min_i(TILE, first_head[kv + 1] - base), width = 1;
		while (width < group) width *= 2;
		// Of this lane: slots g and g + 8 of the tile.
		bool is[2];
		int row[2], head[2], pos[2], from[2];
		EACH(h, 2) {
			int r = (g + 8 * h) / width, j = (g + 8 * h) % width;
			is[h] = r < mine.n && j < group;
			row[h] = mine.first + (is[h] ? r : 0);
			head[h] = base + (is[h] ? j : 0);
			pos[h] = is[h] ? first.pos + r : -1;
			from[h] = window > 0 ? max_i(0, pos[h] - window + 1) : 0;
		}
		uint32_t a[2 * D][4];
		float back[2] = {1.0f, 1.0f}; // what scores are to be multiplied by
		EACH(h, 2) {
			float v[D][8] = {};
			EACH(u, D) if (is[h] && 32 * u + 8 * t < dim) {
				const float *at = q + ((long)rows[row[h]].row * heads + head[h]) * dim + 32 * u + 8 * t;
				EACH(i, 8) v[u][i] = at[i];
			}
			float fit = 1.0f;
			if (TYPE == F16) {
				float top = 0;
				EACH(u, D) EACH(i, 8) {
					float x = from_bits(bits(v[u][i]) & 0x7fffffffu);
					if (x - x == 0 && x > top) top = x;
				}
				for (int x = 1; x < 4; x *= 2) {
					float other = shuffle_xor(top, x);
					if (other > top) top = other;
				}
				fit = fit_f16(top, back[h]);
			}
			EACH(u, D) {
				EACH(i, 8) v[u][i] *= fit;
				a[2 * u][h] = pack<TYPE>(v[u][0], v[u][1]), a[2 * u][h + 2] = pack<TYPE>(v[u][2], v[u][3]);
				a[2 * u + 1][h] = pack<TYPE>(v[u][4], v[u][5]), a[2 * u + 1][h + 2] = pack<TYPE>(v[u][6], v[u][7]);
			}
		}
		bool any[2] = {};
		float m[2] = {}, l[2] = {}, o[NT][4] = {};
		for (int b = begin; b < end; b += SPAN) {
			int lane = opaque(thread()) % 32, g = lane / 4, t = lane % 4;
			// No earlier than it takes: what all warps bring must have room in the second cache.
			if (!spread) bring(values, b);
			float s[8][4] = {};
			EACH(n, 8) {
				int p = b + 8 * n + g;
				bool there = p >= lo && p < end;
				const uint16_t *key = keys + (there ? vector(p) : 0);
				EACH(u, D) {
					quad k = {};
					if (there && 32 * u + 8 * t < dim) k = *(const quad *)(key + 32 * u + 8 * t);
					mma<TYPE>(s[n], a[2 * u], k.v[0], k.v[1]);
					mma<TYPE>(s[n], a[2 * u + 1], k.v[2], k.v[3]);
				}
			}
			bring(keys, b + SPAN);
			float top[2], total[2] = {}, old[2] = {}, now[2] = {1.0f, 1.0f};
			EACH(h, 2) top[h] = from_bits(0xff800000u);
			EACH(n, 8) EACH(i, 4) {
				int p = b + 8 * n + 2 * t + i % 2;
				float v = s[n][i] = s[n][i] * back[i / 2] * scale;
				if (p >= from[i / 2] && p <= pos[i / 2] && v > top[i / 2]) top[i / 2] = v;
			}
			bool sees[2];
			EACH(h, 2) {
				for (int x = 1; x < 4; x *= 2) {
					float other = shuffle_xor(top[h], x);
					if (other > top[h]) top[h] = other;
				}
				if (top[h] == from_bits(0xff800000u)) top[h] = 0;
				EACH(n, 8) EACH(e, 2) {
					int p = b + 8 * n + 2 * t + e;
					float w = p >= from[h] && p <= pos[h] ? exp32(s[n][2 * h + e] - top[h]) : 0.0f;
					s[n][2 * h + e] = w;
					total[h] += w;
				}
				for (int x = 1; x < 4; x *= 2) total[h] += shuffle_xor(total[h], x);
				sees[h] = from[h] < b + SPAN && b <= pos[h];
				if (sees[h] && any[h]) join(m[h], l[h], top[h], total[h], old[h], now[h]);
				else if (sees[h]) any[h] = true, m[h] = top[h], l[h] = total[h];
			}
			EACH(x, 2) {
				float sum[HALF][4] = {};
				uint32_t odd = 0;
				EACH(c, 4) {
					uint32_t w[4] = {pack<TYPE>(s[2 * c][0], s[2 * c][1]), pack<TYPE>(s[2 * c][2], s[2 * c][3]), pack<TYPE>(s[2 * c + 1][0], s[2 * c + 1][1]), pack<TYPE>(s[2 * c + 1][2], s[2 * c + 1][3])};
					quad v[4] = {};
					EACH(i, 4) {
						int p = b + 16 * c + 2 * t + i % 2 + i / 2 * 8;
						if (p >= lo && p < end && g * NT + HALF * x < dim) {
							v[i] = *(const quad *)(values + vector(p) + g * NT + HALF * x);
							odd |= finite<TYPE>(v[i]);
						}
					}
					EACH(j, HALF) mma<TYPE>(sum[j], w, halves(v[0].v[j / 2], v[1].v[j / 2], j % 2), halves(v[2].v[j / 2], v[3].v[j / 2], j % 2));
				}
				for (int y = 1; y < 32; y *= 2) odd |= (uint32_t)shuffle_xor_i((int)odd, y);
				if (odd) {
					// Zero times what is not finite would be NaN for rows that do not see it.
					float(*weights)[SPAN] = (float(*)[SPAN])space[warp];
					EACH(n, 8) EACH(i, 4) weights[g + i / 2 * 8][8 * n + 2 * t + i % 2] = s[n][i];
					sync_warp();
					for (int p = max_i(b, lo); p < min_i(b + SPAN, end); p++) {
						const uint16_t *value = values + vector(p);
						EACH(j, HALF) EACH(i, 4) {
							int d = (2 * t + i % 2) * NT + HALF * x + j;
							if (d < dim && p >= from[i / 2] && p <= pos[i / 2]) {
								float v = TYPE == F16 ? from_f16(value[d]) : from_bf16(value[d]);
								if (!(v - v == 0)) sum[j][i] = fma32(weights[g + i / 2 * 8][p - b], v, sum[j][i]);
							}
						}
					}
					sync_warp();
				}
				EACH(h, 2) old[h] = opaque(old[h]);
				EACH(j, HALF) EACH(i, 4) if (sees[i / 2]) o[HALF * x + j][i] = opaque(fma32(sum[j][i], now[i / 2], o[HALF * x + j][i] * old[i / 2]));
			}
		}
		int warp = opaque(thread()) / 32, lane = opaque(thread()) % 32, g = lane / 4, t = lane % 4;
		auto out = [&](int r, int j) { return part + (((long)(mine.first + r) * heads + base + j) * chunks + block_z()) * (dim + 2); };
		if (!spread) {
			EACH(h, 2) if (is[h] && pos[h] >= chunk * CHUNK) { // else a row before the chunk
				float *to = out((g + 8 * h) / width, (g + 8 * h) % width);
				if (t == 0) to[0] = m[h], to[1] = l[h];
				EACH(e, 2) EACH(j, NT) {
					int d = (2 * t + e) * NT + j;
					if (d < dim) to[2 + d] = o[j][2 * h + e];
				}
			}
			continue;
		}
		// Element d of a slot lies at d % NT * 8 + d / NT, so that lanes write to different
		// banks.
		EACH(h, 2) {
			int slot = g + 8 * h;
			if (t == 0) tops[warp][slot] = m[h], totals[warp][slot] = l[h];
			EACH(j, NT) EACH(e, 2) space[warp][slot * PITCH + j * 8 + 2 * t + e] = o[j][2 * h + e];
		}
		sync();
		// What slot i sees: bit w for warp w's span.
		auto seen = [&](int i) {
			int r = i / width, p = first.pos + r, f = window > 0 ? p - window + 1 : 0;
			uint32_t mask = 0;
			if (r < mine.n && i % width < group) EACH(w, SPANS) if (f < chunk * CHUNK + (w + 1) * SPAN && chunk * CHUNK + w * SPAN <= p) mask |= 1u << w;
			return mask;
		};
		if (thread() < TILE) {
			int i = thread();
			uint32_t mask = seen(i), before = 0;
			float top = 0, total = 0;
			EACH(w, SPANS) if (mask >> w & 1) {
				float old = 0, now = 1.0f;
				if (before) join(top, total, tops[w][i], totals[w][i], old, now);
				else top = tops[w][i], total = totals[w][i];
				olds[w][i] = old, nows[w][i] = now;
				before |= 1;
			}
			if (i / width < mine.n && i % width < group && first.pos + i / width >= chunk * CHUNK) {
				float *to = out(i / width, i % width);
				to[0] = top, to[1] = total;
			}
		}
		sync();
		for (int i = 0; i < TILE; i++) {
			if (i / width >= mine.n || i % width >= group || first.pos + i / width < chunk * CHUNK) continue;
			uint32_t mask = seen(i);
			int d = thread();
			float sum = 0;
			EACH(w, SPANS) if (mask >> w & 1) sum = fma32(space[w][i * PITCH + d % NT * 8 + d / NT], nows[w][i], sum * olds[w][i]);
			if (d < dim) out(i / width, i % width)[2 + d] = sum;
		}
		sync(); // what is shared is read no more
	}
	if (!spread) return;
	SHARED int last;
	sync(); // the chunk's results are stored
	if (thread() == 0) last = last_of(ended + index * kv_heads + kv, blocks_z());
	sync();
	if (!last || first.row < 0) return;
	int group = first_head[kv + 1] - first_head[kv], quads = dim / 4;
	for (int i = thread(); i < mine.n * group * quads; i += 128) {
		int r = i / quads / group, head = first_head[kv] + i / quads % group, pos = first.pos + r;
		int from = (window > 0 ? max_i(0, pos - window + 1) : 0) / CHUNK;
		const float *in = part + (((long)(mine.first + r) * heads + head) * chunks + from - first_chunk) * (dim + 2);
		merge<4>(dst + ((long)rows[mine.first + r].row * heads + head) * dim, in, from, pos / CHUNK + 1, dim, i % quads * 4);
	}
}

#define ATTEND(name, type) \
	KERNEL(128) name(float *dst, uint32_t *ended, float *part, const float *q, const uint16_t *keys, const uint16_t *values, int block, int kv_heads, int dim, const query *rows, \
		const int *tables, const tile *tiles, int n_tiles, const int *first_head, int heads, int window, float scale, int first_chunk, int chunks, int spread) { \
		attend_tile<type>(dst, ended, part, q, keys, values, block, kv_heads, dim, rows, tables, tiles, n_tiles, first_head, heads, window, scale, first_chunk, chunks, spread); \
	}
ATTEND(attend_mma, BF16)
ATTEND(attend_mma_f16, F16)
