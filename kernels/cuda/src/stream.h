#pragma once
#include "device.h"

// A stream brings a run of memory to a warp, BYTES at a time, through STAGES
// stages of shared memory, the later ones being on their way while one is used.
template <int BYTES, int STAGES>
struct stream {
	uint8_t *ring;
	const uint8_t *from;
	int size;
};

template <int BYTES, int STAGES>
DEVICE uint8_t *place(const stream<BYTES, STAGES> &s, int stage) { return s.ring + (uint32_t)stage % STAGES * BYTES; }

template <int BYTES, int STAGES>
DEVICE void fetch(const stream<BYTES, STAGES> &s, int stage) {
	uint8_t *to = place(s, stage);
	EACH(i, (BYTES + 511) / 512) {
		int in = thread() % 32 * 16 + i * 512, at = stage * BYTES + in;
		if (in < BYTES && at < s.size) copy_async(to + in, s.from + at);
	}
	commit_async();
}

// begin fetches the first stages. No lane may still read the ring.
template <int BYTES, int STAGES>
DEVICE stream<BYTES, STAGES> begin(uint8_t *ring, const uint8_t *from, int size) {
	stream<BYTES, STAGES> s = {ring, from, size};
	EACH(i, STAGES - 1) fetch(s, i);
	return s;
}

// next waits for a stage, and fetches into the place of the one before it.
template <int BYTES, int STAGES>
DEVICE const uint8_t *next(const stream<BYTES, STAGES> &s, int stage) {
	wait_async<STAGES - 2>();
	sync_warp();
	fetch(s, stage + STAGES - 1);
	return place(s, stage);
}
