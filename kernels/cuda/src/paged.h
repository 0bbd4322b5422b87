// What the kernels of attention have in common.
#pragma once
#include "device.h"

enum { CHUNK = 256 }; // positions that are computed apart and merged in order

// A row of a step: where it lies in the step's activations (below 0: there is none),
// its position, and where its sequence's block table begins.
struct query {
	int row, pos, table;
};
