// How the sums of a product's ranges become its outputs.
#pragma once
#include "product.h"

// A tree over leaves splits them at the largest power of two below their number
// (package tree), so it adds neighbours, then pairs of these, and so on; what is left over
// at the end is added to what is before it. TREE leaves are loaded and added together;
// there may be 2^LEVELS - 1.
enum { LEVEL = 4, TREE = 1 << LEVEL, LEVELS = 10 };

// node_sum is a node's sum for element i of n = rows * out: its leaves' by the tree, a
// leaf's the sum of its slots in order. leaves is the first leaf of each node and the one
// behind its last; then the first slot of each leaf, and the number of slots.
DEVICE float node_sum(const product &p, int node, long n, long i) {
	int leaf = p.leaves[2 * node], end = p.leaves[2 * node + 1], done = 0;
	const int *slots = p.leaves + 2 * p.nodes;
	float high[LEVELS]; // high[l]: of 2^l leaves before those in hand, where done has bit l
	EACH(l, LEVELS) high[l] = 0;
	for (;;) {
		// Leaves of one slot each, or a leaf.
		int taken = p.single ? min_i(TREE, end - leaf) : 1, slot = p.single ? leaf : slots[leaf], last = p.single ? slot + taken : slots[leaf + 1];
		float sum = 0;
		for (; slot < last; slot += TREE) {
			float v[TREE]; // beyond the last they are loaded, and not added: no branches
			const float *part = p.parts + slot * n + i;
			EACH(j, TREE) {
				v[j] = *part;
				if (slot + j + 1 < last) part += n;
			}
			if (p.single) {
				EACH(l, LEVEL) EACH(j, TREE >> (l + 1)) {
					int left = j << (l + 1), right = left + (1 << l);
					v[left] = right < taken ? v[left] + v[right] : v[left];
				}
				sum = v[0];
			} else {
				EACH(j, TREE) sum = slot + j < last ? sum + v[j] : sum;
			}
		}
		leaf += taken;
		bool up = true;
		EACH(l, LEVELS) if (up) {
			if (done >> l & 1) sum = high[l] + sum;
			else if (leaf < end && taken >> l <= 1) up = false, high[l] = sum;
		}
		if (leaf == end) return sum;
		done += taken;
	}
}

// fold_last folds a tile's sums in the block of the tile that is the last to end. Which
// that is changes no bit. A tile is rows row to row + n and OUTS outputs; all of a
// block's threads come here, with its sums stored.
template <int THREADS, int OUTS>
DEVICE void fold_last(const product &p, int rows, int row, int n) {
	SHARED int last;
	if (!p.ended) return;
	sync();
	if (thread() == 0) last = last_of(p.ended + (long)block_y() * blocks_x() + block_x(), blocks_z());
	sync();
	if (!last) return;
	int col = (block_x() - p.first) * OUTS;
	for (int i = thread(); i < n * OUTS; i += THREADS) {
		int out = col + i % OUTS;
		if (out >= p.out) continue;
		long at = (long)(row + i / OUTS) * p.out + out;
		for (int node = 0; node < p.nodes; node++) p.dst[node * p.between + at] = node_sum(p, node, (long)rows * p.out, at);
	}
}
