// What Hopper (compute capability 9.0) has beyond device.h: multiplications of a
// warpgroup that run beside it, barriers in shared memory, copies into it that these
// count, and clusters of blocks that reach each other's. Forms as in the PTX manual, ISA
// 8.0, each named there by its instruction.
#pragma once
#include "device.h"

#ifdef __CUDA__

// ALONE is a kernel of which a multiprocessor runs one block, so that its threads may have
// 65536 / threads registers each.
#define ALONE(threads) extern "C" __attribute__((global)) __attribute__((launch_bounds(threads, 1))) void

DEVICE uint32_t shared_at(const void *p) { return (uint32_t)(uint64_t)(__attribute__((address_space(3))) const char *)p; }

DEVICE int cluster_rank() {
	uint32_t r;
	asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
	return (int)r;
}

// cluster_sync waits for all threads of the cluster.
DEVICE void cluster_sync() {
	asm volatile("barrier.cluster.arrive;" : : : "memory");
	asm volatile("barrier.cluster.wait;" : : : "memory");
}

// A barrier of shared memory ends a phase, and begins the next, when count arrivals and
// all bytes that were said to be expected have come. Phases have parities 0, 1, 0 ...
DEVICE void barrier_init(uint32_t at, int count) {
	asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" : : "r"(at), "r"(count) : "memory");
}
// barrier_ready has the cluster and the copies see the barriers that this thread made.
DEVICE void barrier_ready() {
	asm volatile("fence.mbarrier_init.release.cluster;" : : : "memory");
	asm volatile("fence.proxy.async;" : : : "memory");
}
// barrier_expect arrives, and has the phase wait for more bytes.
DEVICE void barrier_expect(uint32_t at, int bytes) {
	asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" : : "r"(at), "r"(bytes) : "memory");
}
// barrier_arrive arrives, where yes, at the barrier that a block of the cluster has at the
// same place.
DEVICE void barrier_arrive(uint32_t at, int rank, bool yes) {
	asm volatile("{\n\t"
		".reg .pred p;\n\t"
		".reg .b32 there;\n\t"
		"setp.ne.b32 p, %2, 0;\n\t"
		"@p mapa.shared::cluster.u32 there, %0, %1;\n\t"
		"@p mbarrier.arrive.shared::cluster.b64 _, [there];\n\t"
		"}" : : "r"(at), "r"(rank), "r"((int)yes) : "memory");
}
// barrier_try waits for a while, and reports whether the phase of that parity has ended.
DEVICE bool barrier_try(uint32_t at, int parity) {
	uint32_t done;
	asm volatile("{\n\t"
		".reg .pred p;\n\t"
		"mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\t"
		"selp.u32 %0, 1, 0, p;\n\t"
		"}" : "=r"(done) : "r"(at), "r"(parity) : "memory");
	return done != 0;
}

// copy_bulk begins a copy into shared memory, bytes and places multiples of 16, whose bytes
// come to a barrier there; copy_bulk_all copies to the same place of every block of the
// cluster that has its bit in blocks, and to that block's barrier.
DEVICE void copy_bulk(uint32_t to, const void *from, int bytes, uint32_t barrier) {
	asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
		: : "r"(to), "l"(from), "r"(bytes), "r"(barrier) : "memory");
}
DEVICE void copy_bulk_all(uint32_t to, const void *from, int bytes, uint32_t barrier, uint16_t blocks) {
	asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1], %2, [%3], %4;"
		: : "r"(to), "l"(from), "r"(bytes), "r"(barrier), "h"(blocks) : "memory");
}

// shared_written has what this thread wrote into shared memory be seen by wgmma, once the
// threads have met.
DEVICE void shared_written() { asm volatile("fence.proxy.async;" : : : "memory"); }

// wgmma_f16: acc[64xN] = a[64x16] * b[16xN] + (ADD ? acc : 0), of a warpgroup's 128
// threads: warp w has rows 16w to 16w + 15 of a and acc, in the fragments of mma_f16
// (acc[j] is columns 8j to 8j + 7). It runs until wgmma_wait says that its group has ended;
// until then nobody may touch acc, a, or b. wgmma_fence comes before the first one and
// whenever registers that it takes were touched.
#define WGMMA_F4(HOW, j) HOW(acc[j][0]), HOW(acc[j][1]), HOW(acc[j][2]), HOW(acc[j][3])
#define WGMMA_128(HOW, ADD) \
	asm volatile("{\n\t" \
		".reg .pred p;\n\t" \
		"setp.ne.b32 p, %69, 0;\n\t" \
		"wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 " \
		"{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
		"%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
		"%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
		"%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, " \
		"{%64, %65, %66, %67}, %68, p, 1, 1, 0;\n\t" \
		"}" \
		: WGMMA_F4(HOW, 0), WGMMA_F4(HOW, 1), WGMMA_F4(HOW, 2), WGMMA_F4(HOW, 3), WGMMA_F4(HOW, 4), WGMMA_F4(HOW, 5), WGMMA_F4(HOW, 6), WGMMA_F4(HOW, 7), \
		  WGMMA_F4(HOW, 8), WGMMA_F4(HOW, 9), WGMMA_F4(HOW, 10), WGMMA_F4(HOW, 11), WGMMA_F4(HOW, 12), WGMMA_F4(HOW, 13), WGMMA_F4(HOW, 14), WGMMA_F4(HOW, 15) \
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(ADD) \
		: "memory")
#define WGMMA_192(HOW, ADD) \
	asm volatile("{\n\t" \
		".reg .pred p;\n\t" \
		"setp.ne.b32 p, %101, 0;\n\t" \
		"wgmma.mma_async.sync.aligned.m64n192k16.f32.f16.f16 " \
		"{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
		"%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
		"%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
		"%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
		"%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
		"%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95}, " \
		"{%96, %97, %98, %99}, %100, p, 1, 1, 0;\n\t" \
		"}" \
		: WGMMA_F4(HOW, 0), WGMMA_F4(HOW, 1), WGMMA_F4(HOW, 2), WGMMA_F4(HOW, 3), WGMMA_F4(HOW, 4), WGMMA_F4(HOW, 5), WGMMA_F4(HOW, 6), WGMMA_F4(HOW, 7), \
		  WGMMA_F4(HOW, 8), WGMMA_F4(HOW, 9), WGMMA_F4(HOW, 10), WGMMA_F4(HOW, 11), WGMMA_F4(HOW, 12), WGMMA_F4(HOW, 13), WGMMA_F4(HOW, 14), WGMMA_F4(HOW, 15), \
		  WGMMA_F4(HOW, 16), WGMMA_F4(HOW, 17), WGMMA_F4(HOW, 18), WGMMA_F4(HOW, 19), WGMMA_F4(HOW, 20), WGMMA_F4(HOW, 21), WGMMA_F4(HOW, 22), WGMMA_F4(HOW, 23) \
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(ADD) \
		: "memory")
template <int N, bool ADD>
DEVICE void wgmma_f16(float acc[N / 8][4], const uint32_t a[4], uint64_t b) {
	static_assert(N == 128 || N == 192, "wgmma_f16 of so many columns is not written");
	if constexpr (N == 128 && ADD) WGMMA_128("+f", 1);
	else if constexpr (N == 128) WGMMA_128("=f", 0);
	else if constexpr (ADD) WGMMA_192("+f", 1);
	else WGMMA_192("=f", 0);
}
DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" : : : "memory"); }
DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" : : : "memory"); }
template <int N>
DEVICE void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" : : "n"(N) : "memory"); }

// more_registers and fewer_registers deal a block's registers anew among its warpgroups: so
// many a thread of this one.
template <int N>
DEVICE void more_registers() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" : : "n"(N)); }
template <int N>
DEVICE void fewer_registers() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" : : "n"(N)); }

#else
#include "../sim/hopper.h"
#endif

// matrix_at describes an operand of wgmma in shared memory, K along the rows, not
// swizzled: core matrices of 8 rows x 16 bytes lie in 128 bytes each, those that follow
// one another along K and along the rows so many bytes apart.
DEVICE uint64_t matrix_at(uint32_t at, int along_k, int along_rows) {
	return (uint64_t)(at >> 4 & 0x3fff) | (uint64_t)(along_k >> 4) << 16 | (uint64_t)(along_rows >> 4) << 32;
}
