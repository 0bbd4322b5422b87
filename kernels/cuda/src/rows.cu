// Ops on rows and elements. Element ops: 256 threads a block, a grid over the
// elements. Row ops: a block of 256 threads a row.
#include "device.h"

DEVICE long element() { return (long)block_x() * 256 + thread(); }

// gather: dst[i, :] = table[ids[i], :], widened. Grid: rows.
KERNEL(256) gather(float *dst, const uint8_t *table, const int *ids, int c, int type) {
	long row = ids[block_x()];
	for (int j = thread(); j < c; j += 256) dst[(long)block_x() * c + j] = widen(table, row * c + j, type);
}

// gather_coded: gather of a table of codes (kernels.Coding). A row is its scales,
// float32, its offsets, if any, then its codes, record bytes in all. Grid: rows.
KERNEL(256) gather_coded(float *dst, const uint8_t *table, const int *ids, const int *groups, int c, int code, int n, int offsets, long record) {
	const uint8_t *row = table + ids[block_x()] * record;
	const float *scales = (const float *)row, *shifts = scales + n;
	const uint8_t *codes = row + (long)n * (offsets ? 8 : 4);
	for (int j = thread(); j < c; j += 256) {
		float q;
		switch (code) {
		case I8: q = (float)(int8_t)codes[j]; break;
		case F8: q = from_f8(codes[j]); break;
		case U4: q = (float)(codes[j / 2] >> j % 2 * 4 & 15); break;
		default: q = (float)((int8_t)(codes[j / 2] << (4 - j % 2 * 4)) >> 4);
		}
		float v = scales[groups[j]] * q;
		if (offsets) v = v + shifts[groups[j]];
		dst[(long)block_x() * c + j] = v;
	}
}

// emit_f16 rounds a row for matmul_mma: each of n chunks (chunks[i] is its first step,
// chunks[n] the number of steps) times the power of two that brings its largest value near
// 2^15, in the order of mma's B fragments, [tile of 8 rows][step of 32 k][lane][8]; what
// the chunk's sum is to be multiplied by goes to back[its first step]. Values that are
// not finite stay what they are. from[s] is where the values of step s lie in the row,
// ends[s] where their leaf ends; a row that is null is zero. A warp a chunk.
DEVICE void emit_f16(uint32_t *dst, float *back, const float *row, int number, const int *from, const int *ends, const int *chunks, int n, int steps) {
	int lane = thread() % 32;
	for (int c = thread() / 32; c < n; c += 8) {
		int lo = chunks[c], hi = chunks[c + 1];
		float top = 0;
		for (int s = lo; row && s < hi; s++) {
			float v = from[s] + lane < ends[s] ? from_bits(bits(row[from[s] + lane]) & 0x7fffffffu) : 0.0f;
			if (v - v == 0 && v > top) top = v;
		}
		for (int m = 1; m < 32; m *= 2) {
			float o = shuffle_xor(top, m);
			if (o > top) top = o;
		}
		int up = min_i(14 + 127 - (int)(bits(top) >> 23), 120); // so that its reciprocal is normal
		if (top == 0) up = 0;
		float scale = from_bits((uint32_t)(127 + up) << 23);
		if (lane == 0) back[lo] = from_bits((uint32_t)(127 - up) << 23);
		for (int i = lane; i < (hi - lo) * 16; i += 32) {
			int s = lo + i / 16, k = i % 16 * 2, at = from[s] + k;
			float v[2];
			EACH(e, 2) v[e] = row && at + e < ends[s] ? row[at + e] * scale : 0.0f;
			dst[((long)(number / 8) * steps + s) * 128 + (number % 8 * 4 + k % 8 / 2) * 4 + k / 16 * 2 + k % 16 / 8] = pack_f16(v[0], v[1]);
		}
	}
}

// emit_int8 quantizes a row for matmul_quant, in groups of 32 (package reference,
// QuantizeRow), a warp a group; a group's scale is NaN where a value is not finite.
DEVICE void emit_int8(int8_t *dst, group_sum *scales, const float *row, const int *from, const int *ends, int groups) {
	int lane = thread() % 32;
	for (int g = thread() / 32; g < groups; g += 8) {
		int at = from[g] + lane;
		float v = at < ends[g] ? row[at] : 0.0f;
		int odd = v - v == 0 ? 0 : 1;
		float top = odd ? 0.0f : from_bits(bits(v) & 0x7fffffffu);
		for (int m = 1; m < 32; m *= 2) {
			float o = shuffle_xor(top, m);
			if (o > top) top = o;
			odd |= shuffle_xor_i(odd, m);
		}
		bool none = top < 0x1p-100f;
		int q = odd || none ? 0 : (int)__builtin_rintf(v * (127.0f / top)), sum = q;
		for (int m = 1; m < 32; m *= 2) sum += shuffle_xor_i(sum, m);
		dst[g * 32 + lane] = (int8_t)q;
		if (lane == 0) scales[g] = {odd ? from_bits(0x7fc00000u) : none ? 0.0f : top * (1.0f / 127.0f), sum};
	}
}

// pass_rows does in one pass over rows [rows, c] what ops one after the other do; what
// is null is not done:
//
//	add    x += add
//	up     dst = gate's function (gelu or SiLU) of x, times up
//	norm   dst = x / sqrt(mean(x^2) + eps) * norm; squares and their sum in double
//	rounded   the last of these as a product takes it: emit_f16's where there are chunks
//	          (then scales are its back), else emit_int8's
//
// dst may be x. Grid: rows, and those by which a product's rows are padded.
KERNEL(256) pass_rows(float *xs, const float *add, const float *up, const float *norm, float *dsts, void *rounded, void *scales,
	const int *from, const int *ends, const int *chunks, int n_chunks, int rows, int c, int gelu, int steps, float eps) {
	SHARED double space[8];
	int number = block_x();
	const float *row = nullptr;
	if (number < rows) {
		float *x = xs + (long)number * c, *dst = dsts + (long)number * c;
		row = x;
		double sum = 0;
		for (int j = thread(); j < c; j += 256) {
			float v = x[j];
			if (add) x[j] = v = v + add[(long)number * c + j];
			if (up) dst[j] = (gelu ? gelu32(v) : silu32(v)) * up[(long)number * c + j];
			sum += (double)v * (double)v; // the square is exact, so fusing would change nothing
		}
		if (norm) {
			sum = block_sum(sum, space, 256);
			float r = (float)(1.0 / __builtin_sqrt(sum / c + (double)eps));
			for (int j = thread(); j < c; j += 256) dst[j] = x[j] * r * norm[j];
		}
		if (norm || up) row = dst;
		sync();
	}
	if (!rounded) return;
	if (chunks) emit_f16((uint32_t *)rounded, (float *)scales + (long)number * steps, row, number, from, ends, chunks, n_chunks, steps);
	else if (row) emit_int8((int8_t *)rounded + (long)number * steps * 32, (group_sum *)scales + (long)number * steps, row, from, ends, steps);
}

KERNEL(256) add(float *dst, const float *x, long n) {
	long i = element();
	if (i < n) dst[i] += x[i];
}

// add_bias: dst[t, :] += bias; n elements in all.
KERNEL(256) add_bias(float *dst, const float *bias, int c, long n) {
	long i = element();
	if (i < n) dst[i] += bias[i % c];
}

KERNEL(256) scale(float *dst, float f, long n) {
	long i = element();
	if (i < n) dst[i] *= f;
}

KERNEL(256) soft_cap(float *dst, float limit, long n) {
	long i = element();
	if (i < n) dst[i] = tanh32(dst[i] / limit) * limit;
}

KERNEL(256) silu_mul(float *dst, const float *gate, const float *up, long n) {
	long i = element();
	if (i < n) dst[i] = silu32(gate[i]) * up[i];
}

KERNEL(256) gelu_mul(float *dst, const float *gate, const float *up, long n) {
	long i = element();
	if (i < n) dst[i] = gelu32(gate[i]) * up[i];
}

// exp_sums: dst[row, b] = (the maximum of a block of columns, the sum of
// exp(logit - maximum), in double). Grid: rows x blocks.
KERNEL(256) exp_sums(float *dst, const float *logits, int n, int block) {
	SHARED double sums[8];
	SHARED float tops[8];
	const float *row = logits + (long)block_x() * n;
	int lo = block_y() * block, hi = min_i(lo + block, n);
	float top = row[lo];
	for (int j = lo + thread(); j < hi; j += 256)
		if (row[j] > top || top != top) top = row[j];
	top = block_max(top, tops, 256);
	float shift = top == from_bits(0xff800000u) ? 0.0f : top;
	double sum = 0;
	for (int j = lo + thread(); j < hi; j += 256) sum += (double)exp32(row[j] - shift);
	sum = block_sum(sum, sums, 256);
	if (thread() == 0) {
		float *out = dst + ((long)block_x() * ((n + block - 1) / block) + block_y()) * 2;
		out[0] = top;
		out[1] = (float)sum;
	}
}
