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
