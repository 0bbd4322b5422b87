// Ops on rows and elements. Element ops: 256 threads a block, a grid over the
// elements. Row ops: a block of 256 threads a row.
#include "device.h"

DEVICE long element() { return (long)block_x() * 256 + thread(); }

// gather: dst[i, :] = table[ids[i], :], widened. Grid: rows.
KERNEL(256) gather(float *dst, const uint8_t *table, const int *ids, int c, int type) {
	long row = ids[block_x()];
	for (int j = thread(); j < c; j += 256) dst[(long)block_x() * c + j] = widen(table, row * c + j, type);
}

// rms_norm: dst = x / sqrt(mean(x^2) + eps) * w; squares and their sum in double.
// dst may be x. Grid: rows.
KERNEL(256) rms_norm(float *dst, const float *x, const float *w, int c, float eps) {
	SHARED double space[8];
	const float *row = x + (long)block_x() * c;
	double sum = 0;
	for (int j = thread(); j < c; j += 256) {
		double v = row[j];
		sum += v * v; // the square is exact, so fusing would change nothing
	}
	sum = block_sum(sum, space, 256);
	float r = (float)(1.0 / __builtin_sqrt(sum / c + (double)eps));
	for (int j = thread(); j < c; j += 256) dst[(long)block_x() * c + j] = row[j] * r * w[j];
}

// rope: rotate-half in place. Grid: rows x heads.
KERNEL(128) rope(float *x, const float *cos, const float *sin, const int *pos, int heads, int dim, int half) {
	float *head = x + ((long)block_x() * heads + block_y()) * dim;
	long at = (long)pos[block_x()] * half;
	for (int j = thread(); j < half; j += 128) {
		float a = head[j], b = head[j + half], c = cos[at + j], s = sin[at + j];
		float a1 = a * c, b1 = b * s, a2 = a * s, b2 = b * c;
		head[j] = a1 - b1;
		head[j + half] = b2 + a2;
	}
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
	if (i < n) dst[i] = gate[i] / (1.0f + exp32(-gate[i])) * up[i];
}

// gelu_mul: the tanh form, as x / (1 + exp(t)) (kernels/cpu, gelu32).
KERNEL(256) gelu_mul(float *dst, const float *gate, const float *up, long n) {
	long i = element();
	if (i >= n) return;
	float x = gate[i];
	float t = x * fma32(x * x, -0.0713548162726f, -1.5957691216057308f);
	dst[i] = x / (1.0f + exp32(t)) * up[i];
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
