// What the kernels of attention have in common.
#pragma once
#include "device.h"

enum { CHUNK = 256 }; // positions that are computed apart and merged in order

// A row of a step: where it lies in the step's activations (below 0: there is none),
// its position, and where its sequence's block table begins.
struct query {
	int row, pos, table;
};

// join joins what comes next to what is there of a softmax: m is the largest score, l the
// sum of weights relative to it; sums of weighted values become fma(next's, now, theirs *
// old).
DEVICE void join(float &m, float &l, float next_m, float next_l, float &old, float &now) {
	float top = next_m > m ? next_m : m;
	old = exp32(m - top), now = exp32(next_m - top);
	l = fma32(next_l, now, l * old);
	m = top;
}

// merge merges a row and head's chunks begin to end in order, in holds the first one, and
// divides by the sum of weights: N elements from i on. Four chunks are loaded together.
template <int N>
DEVICE void merge(float *dst, const float *in, int begin, int end, int dim, int i) {
	enum { AHEAD = 4 };
	float m = 0, l = 0, o[N] = {};
	for (int c = begin; c < end; c += AHEAD) {
		float v[AHEAD][2 + N];
		EACH(j, AHEAD) {
			const float *p = in + (long)(min_i(c + j, end - 1) - begin) * (dim + 2);
			EACH(e, 2) v[j][e] = p[e];
			EACH(e, N) v[j][2 + e] = p[2 + i + e];
		}
		EACH(j, AHEAD) if (c + j < end) {
			float old = 0, now = 1.0f;
			bool first = j == 0 && c == begin;
			if (first) m = v[j][0], l = v[j][1];
			else join(m, l, v[j][0], v[j][1], old, now);
			EACH(e, N) o[e] = first ? v[j][2 + e] : fma32(v[j][2 + e], now, o[e] * old);
		}
	}
	EACH(e, N) dst[i + e] = o[e] * (1.0f / l);
}
