// The device as kernels see it, on the host: a CUDA thread is a fiber, and the
// blocks of a grid run one after the other, in random order. Barriers, shuffles
// and mma wait for all threads that take part; between two of them fibers run in
// random order, so that a kernel which depends on an order gives other results
// from run to run.
#pragma once

#include <stdint.h>

namespace sim {

struct state {
	int thread, block[3], blocks[3];
};

extern state now;          // of the fiber that runs
void barrier();            // of the block
uint32_t *warp_exchange(); // 32 x 16 words of the fiber's warp
void warp_barrier();

// Copies into shared memory land at once or, at the latest, when they are waited
// for, at random: a kernel that reads too early, or writes where one is still to
// land, gives other results.
void copy_async(void *to, const void *from, int bytes);
void commit_async();
void wait_async(int groups);

// Dynamic shared memory, of which the launch has so many bytes.
enum { MAX_SHARED = 227 << 10 };
extern uint8_t shared_memory[MAX_SHARED];
extern unsigned shared_bytes;

} // namespace sim

#define KERNEL(threads) extern "C" void
#define DEVICE static inline
#define SHARED static __attribute__((aligned(16)))
#define DYNAMIC_SHARED(name) uint8_t *const name = sim::shared_memory
#define UNROLL

DEVICE int thread() { return sim::now.thread; }
DEVICE int block_x() { return sim::now.block[0]; }
DEVICE int block_y() { return sim::now.block[1]; }
DEVICE int block_z() { return sim::now.block[2]; }
DEVICE int blocks_x() { return sim::now.blocks[0]; }
DEVICE void sync() { sim::barrier(); }
DEVICE void sync_warp() { sim::warp_barrier(); }
DEVICE void copy_async(void *to, const void *from) { sim::copy_async(to, from, 16); }
DEVICE void copy_async_8(void *to, const void *from) { sim::copy_async(to, from, 8); }
DEVICE void commit_async() { sim::commit_async(); }
template <int N>
DEVICE void wait_async() { sim::wait_async(N); }

DEVICE int shuffle_xor_i(int v, int mask) {
	uint32_t *x = sim::warp_exchange();
	int lane = sim::now.thread % 32;
	x[lane * 16] = (uint32_t)v;
	sim::warp_barrier();
	v = (int)x[(lane ^ mask) * 16];
	sim::warp_barrier();
	return v;
}

DEVICE int dp4a(uint32_t a, uint32_t b, int c) {
	for (int i = 0; i < 4; i++) c += (int)(int8_t)(a >> 8 * i) * (int)(int8_t)(b >> 8 * i);
	return c;
}

// mma_of: products are exact in float32; their sum is one float64 sum in order of k,
// rounded once. (The order that a device takes is its own, and fixed.) widen is the
// operands' type.
template <class F>
DEVICE void mma_of(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1, F widen) {
	float *x = (float *)sim::warp_exchange(), *mine = x + sim::now.thread % 32 * 16;
	int lane = sim::now.thread % 32, g = lane / 4, t = lane % 4;
	for (int i = 0; i < 8; i++) mine[i] = widen(a[i / 2] >> 16 * (i % 2));
	for (int i = 0; i < 4; i++) mine[8 + i] = widen((i < 2 ? b0 : b1) >> 16 * (i % 2));
	sim::warp_barrier();
	for (int i = 0; i < 4; i++) {
		int row = i / 2, col = 2 * t + i % 2; // row 0: g, 1: g + 8
		double sum = c[i];
		for (int k = 0; k < 16; k++) {
			int owner = k % 8 / 2; // the lane of its group that has this k
			sum += (double)x[(g * 4 + owner) * 16 + row * 2 + k / 8 * 4 + k % 2] * (double)x[(col * 4 + owner) * 16 + 8 + k / 8 * 2 + k % 2];
		}
		c[i] = (float)sum;
	}
	sim::warp_barrier();
}

static float from_bf16(uint16_t h);
static float from_f16(uint16_t h);

DEVICE void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
	mma_of(c, a, b0, b1, [](uint32_t w) { return from_bf16((uint16_t)w); });
}

DEVICE void mma_f16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
	mma_of(c, a, b0, b1, [](uint32_t w) { return from_f16((uint16_t)w); });
}

DEVICE void mma_s8(int c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
	uint32_t *x = sim::warp_exchange();
	int lane = sim::now.thread % 32, g = lane / 4, t = lane % 4;
	for (int i = 0; i < 4; i++) x[lane * 16 + i] = a[i];
	x[lane * 16 + 4] = b0, x[lane * 16 + 5] = b1;
	sim::warp_barrier();
	for (int i = 0; i < 4; i++)
		for (int h = 0; h < 2; h++)
			for (int owner = 0; owner < 4; owner++)
				c[i] = dp4a(x[(g * 4 + owner) * 16 + i / 2 + 2 * h], x[((2 * t + i % 2) * 4 + owner) * 16 + 4 + h], c[i]);
	sim::warp_barrier();
}
