#pragma once
#include "device.h"

// A stream brings a run of memory to a warp, BYTES at a time, through STAGES
// stages of shared memory, the later ones being on their way while one is used.
template <int BYTES, int STAGES>
struct stream {
	uint8_t *ring;
	const uint8_t *from;
	long size;
};

template <int BYTES, int STAGES>
DEVICE void fetch(const stream<BYTES, STAGES> &s, int stage) {
	for (int i = thread() % 32 * 16; i < BYTES; i += 512) {
		long at = (long)stage * BYTES + i;
		if (at < s.size) copy_async(s.ring + stage % STAGES * BYTES + i, s.from + at);
	}
	commit_async();
}

// begin fetches the first stages. No lane may still read the ring.
template <int BYTES, int STAGES>
DEVICE stream<BYTES, STAGES> begin(uint8_t *ring, const uint8_t *from, long size) {
	stream<BYTES, STAGES> s = {ring, from, size};
	for (int i = 0; i < STAGES - 1; i++) fetch(s, i);
	return s;
}

// next waits for a stage, and fetches into the place of the one before it.
template <int BYTES, int STAGES>
DEVICE const uint8_t *next(const stream<BYTES, STAGES> &s, int stage) {
	wait_async<STAGES - 2>();
	sync_warp();
	fetch(s, stage + STAGES - 1);
	return s.ring + stage % STAGES * BYTES;
}
