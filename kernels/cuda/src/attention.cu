// Rotary embedding, and attention over a paged pool of keys and values,
// [block][slot][kv head][dim] for one layer, in float32, bfloat16, binary16, or in
// int8 with a float32 scale for each vector in an array of its own.
#include "paged.h"

enum { MAX_DIM = 256, GROUP = 8 };

// A layer of the pool.
struct pool {
	uint8_t *keys;
	float *key_scales;
	uint8_t *values;
	float *value_scales;
	int block, heads, dim, type;
};

#define POOL uint8_t *keys, float *key_scales, uint8_t *values, float *value_scales, int block, int kv_heads, int dim, int type
#define MAKE_POOL {keys, key_scales, values, value_scales, block, kv_heads, dim, type}

// place is the vector of a position and KV head.
DEVICE long place(const pool &p, const int *table, int pos, int head) {
	return ((long)table[pos / p.block] * p.block + pos % p.block) * p.heads + head;
}

// angles are a position's; of the first pair that a thread turns they are looked up ahead.
struct angles {
	const float *cos, *sin;
	float c, s;
};

DEVICE angles find_angles(const float *cos, const float *sin, int pos, int half) {
	angles a = {cos + (long)pos * half, sin + (long)pos * half, 0, 0};
	if (thread() < half) a.c = a.cos[thread()], a.s = a.sin[thread()];
	return a;
}

// rotate turns a head by its position's angles: element j pairs with j + half. A
// block of 64 threads.
DEVICE void rotate(float *head, const angles &of, int half) {
	for (int j = thread(); j < half; j += 64) {
		float a = head[j], b = head[j + half], c = of.c, s = of.s;
		if (j >= 64) c = of.cos[j], s = of.sin[j];
		float a1 = a * c, b1 = b * s, a2 = a * s, b2 = b * c;
		head[j] = a1 - b1;
		head[j + half] = b2 + a2;
	}
}

// rope: rotate-half in place. Grid: rows x heads.
KERNEL(64) rope(float *x, const float *cos, const float *sin, const int *pos, int heads, int dim, int half) {
	launch_next();
	angles a = find_angles(cos, sin, pos[block_x()], half);
	await_earlier();
	rotate(x + ((long)block_x() * heads + block_y()) * dim, a, half);
}

// kv_write rounds a vector into the pool (package reference, RoundKV). A warp.
DEVICE void kv_write(uint8_t *mem, float *scales, long vector, const float *v, int dim, int type) {
	int lane = thread() % 32;
	float top = 0, inv = 0;
	bool odd = false;
	if (type == Q8) {
		for (int i = lane; i < dim; i += 32) {
			float a = from_bits(bits(v[i]) & 0x7fffffffu);
			if (!(a - a == 0)) a = from_bits(0x7f800000u);
			if (a > top) top = a;
		}
		top = warp_max(top);
		odd = !(top - top == 0);
		bool none = top < 0x1p-100f;
		inv = none ? 0.0f : 127.0f / top;
		if (lane == 0) scales[vector] = odd ? from_bits(0x7fc00000u) : none ? 0.0f : top * (1.0f / 127.0f);
	}
	for (int i = lane; i < dim; i += 32) {
		long at = vector * dim + i;
		switch (type) {
		case F32: ((float *)mem)[at] = v[i]; break;
		case BF16: ((uint16_t *)mem)[at] = to_bf16(v[i]); break;
		case F16: ((uint16_t *)mem)[at] = to_f16(v[i]); break;
		default: mem[at] = odd ? 1 : (uint8_t)(int)__builtin_rintf(v[i] * inv);
		}
	}
}

// kv_write_both: the key by the block's first warp, the value by its second.
DEVICE void kv_write_both(const pool &p, const query &q, long to, const float *k, const float *v, int head) {
	long from = ((long)q.row * p.heads + head) * p.dim;
	bool key = thread() < 32;
	kv_write(key ? p.keys : p.values, key ? p.key_scales : p.value_scales, to, (key ? k : v) + from, p.dim, p.type);
}

// write_kv stores rows at their positions. Grid: rows x kv heads.
KERNEL(64) write_kv(POOL, const float *k, const float *v, const query *rows, const int *tables) {
	launch_next();
	pool p = MAKE_POOL;
	query q = rows[block_x()];
	long to = q.row < 0 ? 0 : place(p, tables + q.table, q.pos, block_y());
	await_earlier();
	if (q.row >= 0) kv_write_both(p, q, to, k, v, block_y());
}

// rope_write turns queries and keys and stores keys and values: rope, rope and
// write_kv. Row i of the first n is rows[i]'s; those after are turned alone. Grid:
// rows x (heads + kv heads).
KERNEL(64) rope_write(POOL, float *q, float *k, const float *v, const float *cos, const float *sin, const int *pos,
	const query *rows, const int *tables, int n, int heads, int half) {
	launch_next();
	pool p = MAKE_POOL;
	int row = block_x(), head = block_y(), kv = head - heads;
	angles a = find_angles(cos, sin, pos[row], half);
	query of = {-1, 0, 0};
	long to = 0;
	if (kv >= 0 && row < n) of = rows[row];
	if (of.row >= 0) to = place(p, tables + of.table, of.pos, kv);
	await_earlier();
	if (kv < 0) {
		rotate(q + ((long)row * heads + head) * p.dim, a, half);
		return;
	}
	rotate(k + ((long)row * p.heads + kv) * p.dim, a, half);
	sync();
	if (of.row >= 0) kv_write_both(p, of, to, k, v, kv);
}

// four elements of a vector of the pool.
struct alignas(16) floats {
	float v[4];
};

DEVICE floats kv_load(const uint8_t *mem, const float *scales, long vector, int quad_, int dim, int type) {
	long at = vector * dim + quad_ * 4;
	floats f;
	if (type == F32) {
		quad q = *(const quad *)(mem + at * 4);
		EACH(i, 4) f.v[i] = from_bits(q.v[i]);
	} else if (type == Q8) {
		uint32_t w = *(const uint32_t *)(mem + at);
		float scale = scales[vector];
		EACH(i, 4) f.v[i] = (float)(int8_t)(w >> 8 * i) * scale;
	} else {
		uint64_t w = *(const uint64_t *)(mem + at * 2);
		EACH(i, 4) {
			uint16_t h = (uint16_t)(w >> 16 * i);
			f.v[i] = type == BF16 ? from_bf16(h) : from_f16(h);
		}
	}
	return f;
}

// attend computes one chunk of 256 positions (they begin at multiples of 256) for
// one row and the query heads of one KV head, eight at a time, which share its keys
// and values: scores = scale * q.k, soft-capped; m their maximum, l the sum of
// exp(score - m), o the sum of exp(score - m) * v: of every fourth position of the
// chunk in order, these four sums added by pairs. part[row, head, chunk - first
// chunk] = m, l, o. first_head[h] is the first query head of KV head h. Grid: rows x
// kv heads x chunks; 128 threads.
KERNEL(128) attend(float *part, const float *q, POOL, const query *rows, const int *tables, const int *first_head,
	int heads, int window, float scale, float cap, int first_chunk, int chunks) {
	begin_after();
	SHARED float vector[GROUP][MAX_DIM];
	SHARED float score[GROUP][CHUNK];
	SHARED floats pairs[2][GROUP][MAX_DIM / 4];
	pool p = MAKE_POOL;
	query row = rows[block_x()];
	int kv = block_y(), chunk = first_chunk + block_z();
	int from = window > 0 ? max_i(0, row.pos - window + 1) : 0;
	int lo = max_i(chunk * CHUNK, from), hi = min_i((chunk + 1) * CHUNK, row.pos + 1), n = hi - lo;
	if (n <= 0 || row.row < 0) return;
	const int *table = tables + row.table;
	int warp = thread() / 32, lane = thread() % 32, quads = p.dim / 4;

	for (int head = first_head[kv]; head < first_head[kv + 1]; head += GROUP) {
		int group = min_i(GROUP, first_head[kv + 1] - head);
		sync(); // what was shared is read no more
		for (int i = thread(); i < group * p.dim; i += 128) vector[i / p.dim][i % p.dim] = q[((long)row.row * heads + head) * p.dim + i];
		sync();

		// Eight lanes a position, every eighth four elements each.
		for (int base = lo; base < hi; base += 16) {
			int pos = base + thread() / 8;
			float s[GROUP] = {};
			if (pos < hi) {
				long key = place(p, table, pos, kv);
				for (int i = lane % 8; i < quads; i += 8) {
					floats f = kv_load(p.keys, p.key_scales, key, i, p.dim, p.type);
					EACH(j, GROUP) if (j < group) EACH(e, 4) s[j] = fma32(vector[j][i * 4 + e], f.v[e], s[j]);
				}
			}
			EACH(j, GROUP) if (j < group) {
				for (int m = 1; m < 8; m *= 2) s[j] += shuffle_xor(s[j], m);
				s[j] *= scale;
				if (cap > 0) s[j] = tanh32(s[j] / cap) * cap;
				if (pos < hi && lane % 8 == 0) score[j][pos - lo] = s[j];
			}
		}
		sync();

		// A warp a head.
		for (int j = warp; j < group; j += 4) {
			float top = score[j][0];
			for (int i = lane; i < n; i += 32)
				if (score[j][i] > top || top != top) top = score[j][i];
			top = warp_max(top);
			sync_warp(); // the first score is read no more
			float shift = top == from_bits(0xff800000u) ? 0.0f : top;
			double sum = 0;
			for (int i = lane; i < n; i += 32) {
				score[j][i] = exp32(score[j][i] - shift);
				sum += (double)score[j][i];
			}
			sum = warp_sum(sum);
			if (lane == 0) {
				float *out = part + (((long)block_x() * heads + head + j) * chunks + block_z()) * (p.dim + 2);
				out[0] = shift;
				out[1] = (float)sum;
			}
		}
		sync();

		// A warp a quarter of the positions, a lane four elements, and four more 128
		// on.
		floats o[2][GROUP] = {};
		for (int pos = chunk * CHUNK + warp; pos < hi; pos += 4) {
			if (pos < lo) continue;
			long value = place(p, table, pos, kv);
			EACH(h, 2) if (lane + 32 * h < quads) {
				floats f = kv_load(p.values, p.value_scales, value, lane + 32 * h, p.dim, p.type);
				EACH(j, GROUP) if (j < group) EACH(e, 4) o[h][j].v[e] = fma32(score[j][pos - lo], f.v[e], o[h][j].v[e]);
			}
		}
		for (int half = 2; half > 0; half /= 2) { // (0 + 2) + (1 + 3)
			if (warp >= half && warp < 2 * half) EACH(h, 2) EACH(j, GROUP) if (j < group) pairs[warp - half][j][lane + 32 * h] = o[h][j];
			sync();
			if (warp < half) EACH(h, 2) EACH(j, GROUP) if (j < group) {
				floats f = pairs[warp][j][lane + 32 * h];
				EACH(e, 4) o[h][j].v[e] += f.v[e];
			}
			sync();
		}
		if (warp > 0) continue;
		EACH(h, 2) if (lane + 32 * h < quads) {
			float *out = part + (((long)block_x() * heads + head) * chunks + block_z()) * (p.dim + 2) + 2 + (lane + 32 * h) * 4;
			EACH(j, GROUP) if (j < group) EACH(e, 4) out[(long)j * chunks * (p.dim + 2) + e] = o[h][j].v[e];
		}
	}
}

// attend_merge merges a row's chunks. Grid: rows x heads; 128 threads.
KERNEL(128) attend_merge(float *dst, const float *part, const query *rows, int heads, int dim, int window, int first_chunk, int chunks) {
	launch_next();
	int row = rows[block_x()].row, pos = rows[block_x()].pos, head = block_y();
	await_earlier();
	if (row < 0) return;
	int begin = (window > 0 ? max_i(0, pos - window + 1) : 0) / CHUNK, end = pos / CHUNK + 1;
	const float *in = part + (((long)block_x() * heads + head) * chunks + begin - first_chunk) * (dim + 2);
	for (int i = thread(); i < dim; i += 128) merge<1>(dst + ((long)row * heads + head) * dim, in, begin, end, dim, i);
}
