// Attention over a paged pool of keys and values, [block][slot][kv head][dim] for
// one layer, in float32, bfloat16, binary16, or in int8 with a float32 scale for
// each vector in an array of its own.
#include "device.h"

enum { CHUNK = 256, MAX_DIM = 256 };

// A row of a step: where it lies in the step's activations, its position, and
// where its sequence's block table begins.
struct query {
	int row, pos, table;
};

// kv_value is element i of a vector of the pool.
DEVICE float kv_value(const uint8_t *mem, const float *scales, long vector, int i, int dim, int type) {
	if (type == Q8) return (float)(int8_t)mem[vector * dim + i] * scales[vector];
	return widen(mem, vector * dim + i, type);
}

// kv_write rounds a vector into the pool (package reference, RoundKV).
DEVICE void kv_write(uint8_t *mem, float *scales, long vector, const float *v, int dim, int type) {
	float top = 0, odd = 0, inv = 0;
	if (type == Q8) {
		for (int i = 0; i < dim; i++) {
			float a = from_bits(bits(v[i]) & 0x7fffffffu);
			if (a > top) top = a;
			odd += v[i] - v[i];
		}
		bool none = top < 0x1p-100f;
		inv = none ? 0.0f : 127.0f / top;
		scales[vector] = odd != odd ? odd : none ? 0.0f : top * (1.0f / 127.0f);
	}
	for (int i = 0; i < dim; i++) {
		long at = vector * dim + i;
		switch (type) {
		case F32: ((float *)mem)[at] = v[i]; break;
		case BF16: ((uint16_t *)mem)[at] = to_bf16(v[i]); break;
		case F16: ((uint16_t *)mem)[at] = to_f16(v[i]); break;
		default: mem[at] = odd == odd ? (uint8_t)(int)__builtin_rintf(v[i] * inv) : 1;
		}
	}
}

// write_kv stores rows at their positions. Grid: rows; a thread a vector.
KERNEL(128) write_kv(uint8_t *keys, float *key_scales, uint8_t *values, float *value_scales, const float *k, const float *v,
	const query *rows, const int *tables, int block, int heads, int dim, int type) {
	query q = rows[block_x()];
	long to = ((long)tables[q.table + q.pos / block] * block + q.pos % block) * heads;
	for (int i = thread(); i < 2 * heads; i += 128) {
		int head = i / 2;
		long from = ((long)q.row * heads + head) * dim;
		if (i % 2 == 0) kv_write(keys, key_scales, to + head, k + from, dim, type);
		else kv_write(values, value_scales, to + head, v + from, dim, type);
	}
}

// attend computes one chunk of 256 positions (they begin at multiples of 256) for
// one row and query head: scores = scale * q.k, soft-capped; m their maximum, l
// the sum of exp(score - m), o the sum of exp(score - m) * v in order of
// positions. part[row, head, chunk - first chunk] = m, l, o. Grid: rows x heads x
// chunks; 128 threads.
KERNEL(128) attend(float *part, const float *q, const uint8_t *keys, const float *key_scales, const uint8_t *values, const float *value_scales,
	const query *rows, const int *tables, const int *kv_head, int heads, int kv_heads, int dim, int block, int type, int window, float scale, float cap, int first_chunk, int chunks) {
	SHARED float vector[MAX_DIM], score[CHUNK], tops[4];
	SHARED double sums[4];
	query row = rows[block_x()];
	int head = block_y(), chunk = first_chunk + block_z();
	int from = window > 0 ? max_i(0, row.pos - window + 1) : 0;
	int lo = max_i(chunk * CHUNK, from), hi = min_i((chunk + 1) * CHUNK, row.pos + 1);
	if (lo >= hi) return;
	const int *table = tables + row.table;
	for (int i = thread(); i < dim; i += 128) vector[i] = q[((long)row.row * heads + head) * dim + i];
	sync();

	// Eight lanes a position, an eighth of the head each.
	int lane = thread() % 8, share = dim / 8;
	for (int base = lo; base < hi; base += 16) {
		int p = base + thread() / 8;
		float s = 0;
		if (p < hi) {
			long key = ((long)table[p / block] * block + p % block) * kv_heads + kv_head[head];
			for (int i = lane * share; i < (lane + 1) * share; i++) s = fma32(vector[i], kv_value(keys, key_scales, key, i, dim, type), s);
		}
		for (int m = 1; m < 8; m *= 2) s += shuffle_xor(s, m);
		s *= scale;
		if (cap > 0) s = tanh32(s / cap) * cap;
		if (p < hi && lane == 0) score[p - lo] = s;
	}
	sync();

	int n = hi - lo;
	float top = score[0];
	for (int i = thread(); i < n; i += 128)
		if (score[i] > top || top != top) top = score[i];
	top = block_max(top, tops, 128);
	float shift = top == from_bits(0xff800000u) ? 0.0f : top;
	double sum = 0;
	for (int i = thread(); i < n; i += 128) {
		score[i] = exp32(score[i] - shift);
		sum += (double)score[i];
	}
	sum = block_sum(sum, sums, 128);
	sync();

	float *out = part + (((long)block_x() * heads + head) * chunks + block_z()) * (dim + 2);
	if (thread() == 0) {
		out[0] = shift;
		out[1] = (float)sum;
	}
	for (int i = thread(); i < dim; i += 128) {
		float o = 0;
		for (int p = lo; p < hi; p++) {
			long value = ((long)table[p / block] * block + p % block) * kv_heads + kv_head[head];
			o = fma32(score[p - lo], kv_value(values, value_scales, value, i, dim, type), o);
		}
		out[2 + i] = o;
	}
}

// attend_merge merges a row's chunks in order and divides by the sum of weights.
// Grid: rows x heads; 128 threads.
KERNEL(128) attend_merge(float *dst, const float *part, const query *rows, int heads, int dim, int window, int first_chunk, int chunks) {
	int row = rows[block_x()].row, pos = rows[block_x()].pos, head = block_y();
	int from = window > 0 ? max_i(0, pos - window + 1) : 0;
	const float *in = part + ((long)block_x() * heads + head) * chunks * (dim + 2);
	for (int i = thread(); i < dim; i += 128) {
		float m = 0, l = 0, o = 0;
		bool any = false;
		for (int c = from / CHUNK; c <= pos / CHUNK; c++) {
			const float *p = in + (long)(c - first_chunk) * (dim + 2);
			if (!any) {
				m = p[0], l = p[1], o = p[2 + i];
				any = true;
				continue;
			}
			float top = p[0] > m ? p[0] : m;
			float old = exp32(m - top), now = exp32(p[0] - top);
			l = fma32(p[1], now, l * old);
			o = fma32(p[2 + i], now, o * old);
			m = top;
		}
		dst[((long)row * heads + head) * dim + i] = o * (1.0f / l);
	}
}
