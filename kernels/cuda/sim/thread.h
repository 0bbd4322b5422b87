// The device as kernels see it, on the host: a CUDA thread is a fiber, and the
// blocks of a grid run one after the other, in random order. Barriers, shuffles
// and mma wait for all threads that take part; between two of them fibers run in
// random order, so that a kernel which depends on an order gives other results
// from run to run.
#pragma once

#include <stdint.h>

namespace sim {

// A state is a fiber's place: its number among those of its cluster, whose blocks lie
// beside each other along x and have so many threads each.
struct state {
	int thread, threads, block[3], blocks[3];
};

extern state now; // of the fiber that runs
void barrier();   // of the block
// warp_exchange is 32 x 16 words that the fiber's warp has until it has passed its next
// barrier, and each fiber until it comes to the one after that. last is done with them by
// the last fiber to come.
uint32_t *warp_exchange();
void warp_barrier(void (*last)(uint32_t *) = nullptr);

// Copies into shared memory land at once or, at the latest, when they are waited
// for, at random: a kernel that reads too early, or writes where one is still to
// land, gives other results.
void copy_async(void *to, const void *from, int bytes);
void commit_async();
void wait_async(int groups);

// A block of a launch that is let begin early stops here until the launches ahead are done.
void await_earlier();
// A block that counted itself among those that ended, and is not the last, may stop there.
void counted();

// Dynamic shared memory of a cluster's blocks, of which the launch has so many bytes.
enum { MAX_SHARED = 227 << 10, MAX_CLUSTER = 2 };
extern uint8_t *shared_memory[MAX_CLUSTER];
extern unsigned shared_bytes;

} // namespace sim

#define KERNEL(threads) extern "C" void
#define DEVICE static inline
#define SHARED static thread_local __attribute__((aligned(16))) // of each thread of the host: a block that waits keeps its own
#define DYNAMIC_SHARED(name) uint8_t *const name = sim::shared_memory[sim::now.thread >= sim::now.threads]
#define UNROLL
#define ROLLED

DEVICE int thread() { return sim::now.thread < sim::now.threads ? sim::now.thread : sim::now.thread - sim::now.threads; }
DEVICE int block_x() { return sim::now.block[0] + (sim::now.thread >= sim::now.threads); }
DEVICE int block_y() { return sim::now.block[1]; }
DEVICE int block_z() { return sim::now.block[2]; }
DEVICE int blocks_x() { return sim::now.blocks[0]; }
DEVICE int blocks_y() { return sim::now.blocks[1]; }
DEVICE int blocks_z() { return sim::now.blocks[2]; }
DEVICE void sync() { sim::barrier(); }
DEVICE void sync_warp() { sim::warp_barrier(); }
DEVICE void copy_async(void *to, const void *from) { sim::copy_async(to, from, 16); }
DEVICE void copy_async_8(void *to, const void *from) { sim::copy_async(to, from, 8); }
DEVICE void commit_async() { sim::commit_async(); }
template <int N>
DEVICE void wait_async() { sim::wait_async(N); }

DEVICE int opaque(int v) { return v; }
DEVICE float opaque(float v) { return v; }

DEVICE int shuffle_xor_i(int v, int mask) {
	uint32_t *x = sim::warp_exchange();
	int lane = sim::now.thread % 32;
	x[lane] = (uint32_t)v;
	sim::warp_barrier();
	return (int)x[lane ^ mask];
}

DEVICE void launch_next() {}
DEVICE void await_earlier() { sim::await_earlier(); }
DEVICE void prefetch(const void *global) { (void)*(const volatile char *)global; } // it must be there

DEVICE bool last_of(uint32_t *counter, int n) {
	bool last = *counter + 1 == (uint32_t)n;
	*counter = last ? 0 : *counter + 1;
	if (!last) sim::counted();
	return last;
}

DEVICE int dp4a(uint32_t a, uint32_t b, int c) {
	for (int i = 0; i < 4; i++) c += (int)(int8_t)(a >> 8 * i) * (int)(int8_t)(b >> 8 * i);
	return c;
}

// mma hands a lane's fragments to the last lane of its warp, which does all: words 0 to 3
// of 16 are a, 4 and 5 b, 6 to 9 c.
template <class T>
DEVICE void mma(T c[4], const uint32_t a[4], uint32_t b0, uint32_t b1, void (*all)(uint32_t *)) {
	uint32_t *x = sim::warp_exchange() + sim::now.thread % 32 * 16;
	__builtin_memcpy(x, a, 16);
	x[4] = b0, x[5] = b1;
	__builtin_memcpy(x + 6, c, 16);
	sim::warp_barrier(all);
	__builtin_memcpy(c, x + 6, 16);
}

// mma_all: c[16x8] += a[16x16] * b[16x8]. Products are exact in float32; their sum is one
// float64 sum in order of k, rounded once. (The order that a device takes is its own, and
// fixed.) widen is the operands' type.
template <float (*WIDEN)(uint16_t)>
static void mma_all(uint32_t *x) {
	double a[16][16], b[16][8];
	for (int lane = 0; lane < 32; lane++, x += 16) {
		int g = lane / 4, t = lane % 4;
		for (int i = 0; i < 8; i++) a[g + i / 2 % 2 * 8][2 * t + i % 2 + i / 4 * 8] = WIDEN((uint16_t)(x[i / 2] >> 16 * (i % 2)));
		for (int i = 0; i < 4; i++) b[2 * t + i % 2 + i / 2 * 8][g] = WIDEN((uint16_t)(x[4 + i / 2] >> 16 * (i % 2)));
	}
	x -= 32 * 16;
	for (int row = 0; row < 16; row++) {
		double sum[8];
		float c;
		for (int col = 0; col < 8; col++) {
			__builtin_memcpy(&c, &x[(row % 8 * 4 + col / 2) * 16 + 6 + row / 8 * 2 + col % 2], 4);
			sum[col] = c;
		}
		for (int k = 0; k < 16; k++)
			for (int col = 0; col < 8; col++) sum[col] += a[row][k] * b[k][col];
		for (int col = 0; col < 8; col++) {
			c = (float)sum[col];
			__builtin_memcpy(&x[(row % 8 * 4 + col / 2) * 16 + 6 + row / 8 * 2 + col % 2], &c, 4);
		}
	}
}

static float from_bf16(uint16_t h);
static float from_f16(uint16_t h);

DEVICE void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) { mma(c, a, b0, b1, mma_all<from_bf16>); }
DEVICE void mma_f16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) { mma(c, a, b0, b1, mma_all<from_f16>); }

static void mma_all_s8(uint32_t *x) {
	for (int lane = 0; lane < 32; lane++) {
		int g = lane / 4, t = lane % 4;
		for (int i = 0; i < 4; i++) {
			int c = (int)x[lane * 16 + 6 + i];
			for (int h = 0; h < 2; h++)
				for (int owner = 0; owner < 4; owner++)
					c = dp4a(x[(g * 4 + owner) * 16 + i / 2 + 2 * h], x[((2 * t + i % 2) * 4 + owner) * 16 + 4 + h], c);
			x[lane * 16 + 6 + i] = (uint32_t)c;
		}
	}
}

DEVICE void mma_s8(int c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) { mma(c, a, b0, b1, mma_all_s8); }
