// What a launch of products is given.
#pragma once
#include "device.h"

enum { SPLIT = 512, ROWS = 8, WARPS = 4 };

struct range {
	int lo; // its first step of the packed layout
	int n;  // values of K
	int slot;
	int x; // where they begin in a row of activations (panels alone; the others' are laid out as weights are)
};

struct product {
	float *dst;   // [node, row, out], nodes between elements apart
	float *parts; // [slot, row, out]: where ranges' sums go; dst where there is one
	const uint8_t *w;
	const range *ranges;
	const int *groups; // of coded panels: the group of each k; matmul_codes': its segments
	const int *leaves; // node_sum's
	uint32_t *ended;   // of each tile of the grid's x and y, how many of its blocks have ended; null: they do not fold
	long stride;       // bytes of a panel, or of a tile of outputs
	long between;
	int out, first;     // first: the block of outputs with which it begins
	int codes, offsets; // where in a coded panel, or in a segment's head, they begin; offsets 0: none
	int bias, scales;   // what a 4-bit code is too large by; the type of scales
	float scale;        // of tensor cores: what sums are multiplied by
	int nodes, single;  // single: every leaf has one slot, of its number
	int slots, per;     // of few rows: the ranges, and how many a block takes, one after the other
	int head;           // matmul_codes': the size of a segment's head
};

// find is the product of which a block of outputs is.
DEVICE product find(const product *list, int n, int block) {
	int i = 0;
	while (i + 1 < n && block >= list[i + 1].first) i++;
	return list[i];
}

DEVICE product find(const product *list, int n) { return find(list, n, block_x()); }
