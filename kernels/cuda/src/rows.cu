// Ops on rows and elements. Element ops: 256 threads a block, a grid over the
// elements. Row ops: a block of 256 threads a row.
#include "device.h"

DEVICE long element() { return (long)block_x() * 256 + thread(); }

// gather: dst[i, :] = table[ids[i], :], widened. Grid: rows.
KERNEL(256) gather(float *dst, const uint8_t *table, const int *ids, int c, int type) {
	begin_after();
	long row = ids[block_x()];
	for (int j = thread(); j < c; j += 256) dst[(long)block_x() * c + j] = widen(table, row * c + j, type);
}

// gather_coded: gather of a table of codes (kernels.Coding). A row is its scales,
// float32, its offsets, if any, then its codes, record bytes in all. Grid: rows.
KERNEL(256) gather_coded(float *dst, const uint8_t *table, const int *ids, const int *groups, int c, int code, int n, int offsets, long record) {
	begin_after();
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

// fit_chunk is fit_f16 of the values of a chunk, of which each lane of a warp has 16. What is not
// finite does not count.
DEVICE float fit_chunk(const float v[16], float &back) {
	float top = 0;
	EACH(i, 16) {
		float a = from_bits(bits(v[i]) & 0x7fffffffu);
		if (a - a == 0 && a > top) top = a;
	}
	for (int m = 1; m < 32; m *= 2) {
		float o = shuffle_xor(top, m);
		if (o > top) top = o;
	}
	return fit_f16(top, back);
}

// chunk_place is a chunk's first step, its pairs of values, and where these are in a row.
struct chunk_place {
	int lo, pairs, at, end;
};

DEVICE chunk_place find_chunk(const int *from, const int *ends, const int *chunks, int c) {
	int lo = chunks[c];
	return {lo, (chunks[c + 1] - lo) * 16, from[lo], ends[lo]};
}

// emit_f16 rounds a row for products on tensor cores: each of n chunks (chunks[i] is its
// first step, chunks[n] the number of steps) times the power of two that brings its largest
// value near 2^15. For matmul_mma (together is 0) in the order of mma's B fragments, [tile of
// 8 rows][step of 32 k][lane][8]; what the chunk's sum is to be multiplied by goes to
// back[row, its first step]. For matmul_wgmma in that of its core matrices, [so many rows
// together][step][tile of 8 rows][8 k][row][k], and to back[its first step, row], rows between
// apart. Values that are not finite stay what they are. from[s] is where the values of step s
// lie in the row, those of a chunk one after the other, ends[s] where their leaf ends; a row
// that is null is zero. A warp a chunk, of chunks c to n; it has found the first one.
template <int WARPS>
DEVICE void emit_f16(uint32_t *dst, float *back, const float *row, int number, const int *from, const int *ends, const int *chunks, int c, int n, chunk_place found, int steps, int together, int between) {
	int lane = thread() % 32;
	long first = together ? (long)(number / together) * steps * together * 16 + number % together / 8 * 128 + number % 8 * 4 : (long)(number / 8) * steps * 128 + number % 8 * 16;
	for (c += thread() / 32; c < n; c += WARPS) {
		int lo = found.lo, pairs = found.pairs, at = found.at, end = found.end;
		if (c + WARPS < n) found = find_chunk(from, ends, chunks, c + WARPS);
		float v[16]; // pairs lane, lane + 32 ... of the chunk's values
		EACH(i, 16) {
			int k = at + (i / 2 * 32 + lane) * 2 + i % 2;
			v[i] = row && k < end ? row[k] : 0.0f;
		}
		float reciprocal, scale = fit_chunk(v, reciprocal);
		if (lane == 0) back[together ? (long)lo * between + number : (long)number * steps + lo] = reciprocal;
		EACH(i, 8) {
			int pair = i * 32 + lane, s = lo + pair / 16, k = pair % 16 * 2;
			long at = together ? (long)s * together * 16 + k / 8 * 32 + k % 8 / 2 : (long)s * 128 + k % 8 / 2 * 4 + k / 16 * 2 + k % 16 / 8;
			if (pair < pairs) dst[first + at] = pack_f16(v[2 * i] * scale, v[2 * i + 1] * scale);
		}
	}
}

// emit_codes is emit_f16 for matmul_codes: steps are of 16 k, step s' values lie between from[s]
// and ends[s], and fragments are [tile of 8 rows][step][lane][4]. Of each of a chunk's
// segments, which parts tells, the sum of rounded values goes to sums[tile of 8
// rows][segment][8], if that is not null.
template <int WARPS>
DEVICE void emit_codes(uint32_t *dst, float *back, const float *row, int number, const int *from, const int *ends, const int *chunks, int c, int n, int steps,
	const segments *parts, float *sums, int heads) {
	SHARED float space[WARPS][32];
	int warp = thread() / 32, lane = thread() % 32;
	long first = (long)(number / 8) * steps * 64 + number % 8 * 8;
	for (c += warp; c < n; c += WARPS) {
		int lo = chunks[c], hi = chunks[c + 1];
		float v[16]; // of steps lane / 8, lane / 8 + 4 ... of the chunk a pair
		EACH(i, 8) {
			int s = lo + i * 4 + lane / 8, at = s < hi ? from[s] + lane % 8 * 2 : 0, end = row && s < hi ? ends[s] : 0;
			EACH(e, 2) v[2 * i + e] = at + e < end ? row[at + e] : 0.0f;
		}
		float reciprocal, scale = fit_chunk(v, reciprocal);
		if (lane == 0) back[(long)number * steps + lo] = reciprocal;
		EACH(i, 8) {
			int s = lo + i * 4 + lane / 8;
			uint32_t rounded = pack_f16(v[2 * i] * scale, v[2 * i + 1] * scale);
			if (s < hi) dst[first + (long)s * 64 + lane % 4 * 2 + lane % 8 / 4] = rounded;
			if (sums) {
				float sum = from_f16((uint16_t)rounded) + from_f16((uint16_t)(rounded >> 16));
				for (int m = 1; m < 8; m *= 2) sum += shuffle_xor(sum, m);
				if (lane % 8 == 0) space[warp][i * 4 + lane / 8] = sum; // of a step
			}
		}
		if (!sums) continue;
		segments p = parts[lo];
		sync_warp();
		if (p.begins >> lane & 1) {
			float sum = space[warp][lane];
			for (int i = lane + 1; i < 32 && !(p.begins >> i & 1); i++) sum += space[warp][i];
			int segment = p.first + __builtin_popcount(p.begins & ((1u << lane) - 1));
			sums[((long)(number / 8) * heads + segment) * 8 + number % 8] = sum;
		}
		sync_warp();
	}
}

// emit_int8 quantizes a row for matmul_quant, in groups of 32 (package reference,
// QuantizeRow), a warp four groups at a time, of groups first to n, of which it has found the
// first; a group's scale is NaN where a value is not finite.
struct group_places {
	int at[4], end[4];
};

DEVICE group_places find_groups(const int *from, const int *ends, int first, int n) {
	group_places found;
	EACH(i, 4) {
		int g = min_i(first + i, n - 1);
		found.at[i] = from[g], found.end[i] = ends[g];
	}
	return found;
}

template <int WARPS>
DEVICE void emit_int8(int8_t *dst, group_sum *scales, const float *row, const int *from, const int *ends, int first, int n, group_places found) {
	int lane = thread() % 32;
	for (first += thread() / 32 * 4; first < n; first += 4 * WARPS) {
		float v[4], top[4];
		int odd[4], q[4], sum[4];
		EACH(i, 4) {
			int at = found.at[i] + lane;
			v[i] = at < found.end[i] ? row[at] : 0.0f;
		}
		if (first + 4 * WARPS < n) found = find_groups(from, ends, first + 4 * WARPS, n);
		EACH(i, 4) {
			odd[i] = v[i] - v[i] == 0 ? 0 : 1;
			top[i] = odd[i] ? 0.0f : from_bits(bits(v[i]) & 0x7fffffffu);
		}
		for (int m = 1; m < 32; m *= 2) EACH(i, 4) {
			float o = shuffle_xor(top[i], m);
			if (o > top[i]) top[i] = o;
			odd[i] |= shuffle_xor_i(odd[i], m);
		}
		EACH(i, 4) sum[i] = q[i] = odd[i] || top[i] < 0x1p-100f ? 0 : (int)__builtin_rintf(v[i] * (127.0f / top[i]));
		for (int m = 1; m < 32; m *= 2) EACH(i, 4) sum[i] += shuffle_xor_i(sum[i], m);
		EACH(i, 4) if (first + i < n) {
			int g = first + i;
			dst[g * 32 + lane] = (int8_t)q[i];
			if (lane == 0) scales[g] = {odd[i] ? from_bits(0x7fc00000u) : top[i] < 0x1p-100f ? 0.0f : top[i] * (1.0f / 127.0f), sum[i]};
		}
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
// dst may be x. The sum's order depends on the number of threads, which depends on c. Grid:
// rows, and those by which a product's rows are padded, x shares of a row: one where there
// is a norm. What no launch writes is looked up before those ahead have ended.
template <int THREADS>
DEVICE void pass(float *xs, const float *add, const float *up, const float *norm, float *dsts, void *rounded, void *scales,
	const int *from, const int *ends, const int *chunks, int n_chunks, int rows, int c, int gelu, int steps, float eps, int together, int between, const segments *parts, float *sums, int heads) {
	enum { BATCH = 4, LINE = 32 }; // values that a thread loads together, and of a line of memory
	SHARED double space[THREADS / 32];
	launch_next();
	for (int i = thread() * LINE; norm && i < c; i += THREADS * LINE) prefetch(norm + i);
	// The block's share of a row: of its chunks or groups, and values.
	int units = chunks ? n_chunks : steps, first_unit = 0, last_unit = units, lo = 0, hi = c, warp = thread() / 32;
	chunk_place chunk = {};
	group_places groups = {};
	if (rounded) {
		auto begins = [&](int unit) { return from[chunks ? chunks[unit] : unit]; };
		first_unit = (int)((long)units * block_y() / blocks_y()), last_unit = (int)((long)units * (block_y() + 1) / blocks_y());
		if (first_unit > 0) lo = begins(first_unit);
		if (last_unit < units) hi = begins(last_unit);
		if (!chunks) groups = find_groups(from, ends, min_i(first_unit + warp * 4, units - 1), last_unit);
		else if (!parts && first_unit + warp < last_unit) chunk = find_chunk(from, ends, chunks, first_unit + warp);
		for (int i = thread() * LINE; parts && i < steps; i += THREADS * LINE) prefetch(from + i), prefetch(ends + i), prefetch(parts + i);
	}
	await_earlier();
	int number = block_x();
	const float *row = nullptr;
	if (number < rows) {
		long at = (long)number * c;
		float *x = xs + at, *dst = dsts + at, kept[BATCH]; // x of the first batch
		row = x;
		double sum = 0;
		for (int first = lo + thread(); first < hi; first += BATCH * THREADS) {
			float v[BATCH], more[BATCH];
			EACH(i, BATCH) {
				int j = first + i * THREADS;
				v[i] = j < hi ? x[j] : 0.0f;
				more[i] = j < hi && add ? add[at + j] : 0.0f;
			}
			if (add) EACH(i, BATCH) v[i] += more[i];
			if (up) EACH(i, BATCH) if (first + i * THREADS < hi) more[i] = up[at + first + i * THREADS];
			EACH(i, BATCH) if (first + i * THREADS < hi) {
				int j = first + i * THREADS;
				if (add) x[j] = v[i];
				if (up) dst[j] = (gelu ? gelu32(v[i]) : silu32(v[i])) * more[i];
				sum += (double)v[i] * (double)v[i]; // the square is exact, so fusing would change nothing
			}
			EACH(i, BATCH) if (first == lo + thread()) kept[i] = v[i];
		}
		if (norm) {
			sum = block_sum(sum, space, THREADS);
			float r = (float)(1.0 / __builtin_sqrt(sum / c + (double)eps));
			for (int first = thread(); first < c; first += BATCH * THREADS) {
				float v[BATCH], w[BATCH];
				EACH(i, BATCH) {
					int j = first + i * THREADS;
					v[i] = first == thread() ? kept[i] : j < c ? x[j] : 0.0f;
					w[i] = j < c ? norm[j] : 0.0f;
				}
				EACH(i, BATCH) if (first + i * THREADS < c) dst[first + i * THREADS] = v[i] * r * w[i];
			}
		}
		if (norm || up) row = dst;
		sync();
	}
	if (!rounded) return;
	if (parts) emit_codes<THREADS / 32>((uint32_t *)rounded, (float *)scales, row, number, from, ends, chunks, first_unit, last_unit, steps, parts, sums, heads);
	else if (chunks) emit_f16<THREADS / 32>((uint32_t *)rounded, (float *)scales, row, number, from, ends, chunks, first_unit, last_unit, chunk, steps, together, between);
	else if (row) emit_int8<THREADS / 32>((int8_t *)rounded + (long)number * steps * 32, (group_sum *)scales + (long)number * steps, row, from, ends, first_unit, last_unit, groups);
}

#define PASS(name, threads) \
	KERNEL(threads) name(float *xs, const float *add, const float *up, const float *norm, float *dsts, void *rounded, void *scales, \
		const int *from, const int *ends, const int *chunks, int n_chunks, int rows, int c, int gelu, int steps, float eps, int together, int between, const segments *parts, float *sums, int heads) { \
		pass<threads>(xs, add, up, norm, dsts, rounded, scales, from, ends, chunks, n_chunks, rows, c, gelu, steps, eps, together, between, parts, sums, heads); \
	}
PASS(pass_rows, 256)
PASS(pass_long_rows, 1024)

KERNEL(256) add(float *dst, const float *x, long n) {
	begin_after();
	long i = element();
	if (i < n) dst[i] += x[i];
}

// add_bias: dst[t, :] += bias; n elements in all.
KERNEL(256) add_bias(float *dst, const float *bias, int c, long n) {
	begin_after();
	long i = element();
	if (i < n) dst[i] += bias[i % c];
}

KERNEL(256) scale(float *dst, float f, long n) {
	begin_after();
	long i = element();
	if (i < n) dst[i] *= f;
}

KERNEL(256) soft_cap(float *dst, float limit, long n) {
	begin_after();
	long i = element();
	if (i < n) dst[i] = tanh32(dst[i] / limit) * limit;
}

KERNEL(256) silu_mul(float *dst, const float *gate, const float *up, long n) {
	begin_after();
	long i = element();
	if (i < n) dst[i] = silu32(gate[i]) * up[i];
}

KERNEL(256) gelu_mul(float *dst, const float *gate, const float *up, long n) {
	begin_after();
	long i = element();
	if (i < n) dst[i] = gelu32(gate[i]) * up[i];
}

// exp_sums: dst[row, b] = (the maximum of a block of columns, the sum of
// exp(logit - maximum), in double). Grid: rows x blocks.
KERNEL(256) exp_sums(float *dst, const float *logits, int n, int block) {
	begin_after();
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
