// What the kernels need of the device, without NVIDIA's headers: clang compiles
// them to PTX (gen.sh), and any C++17 compiler compiles them for the host over
// the simulator in ../sim, which runs each CUDA thread as a fiber.
//
// Rules of every kernel here: floating-point contraction is off, fused
// multiply-adds are written out; sums have one order that depends on the
// model's shape alone; no atomics in sums.
#pragma once

#ifdef __CUDA__

typedef unsigned char uint8_t;
typedef signed char int8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;

#define KERNEL(threads) extern "C" __attribute__((global)) __attribute__((launch_bounds(threads))) void
#define DEVICE static inline __attribute__((device, always_inline))
#define SHARED static __attribute__((shared, aligned(16)))
#define DYNAMIC_SHARED(name) extern __attribute__((shared, aligned(1024))) uint8_t name[]
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")

DEVICE int thread() { return __nvvm_read_ptx_sreg_tid_x(); }
DEVICE int block_x() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE int block_y() { return __nvvm_read_ptx_sreg_ctaid_y(); }
DEVICE int block_z() { return __nvvm_read_ptx_sreg_ctaid_z(); }
DEVICE int blocks_x() { return __nvvm_read_ptx_sreg_nctaid_x(); }
DEVICE int blocks_y() { return __nvvm_read_ptx_sreg_nctaid_y(); }
DEVICE int blocks_z() { return __nvvm_read_ptx_sreg_nctaid_z(); }
DEVICE void sync() { __syncthreads(); }
DEVICE void sync_warp() { __nvvm_bar_warp_sync(0xffffffff); }
DEVICE int shuffle_xor_i(int v, int mask) { return __nvvm_shfl_sync_bfly_i32(0xffffffff, v, mask, 0x1f); }

// On Hopper a launch may begin before the one ahead of it has ended (docs/gpu.md).
// launch_next lets the next one do so once every block has come here; await_earlier waits
// for all launches ahead to end: nothing that these write may be read before it, nor
// anything written that they read. Every thread of every kernel awaits, so that a launch
// that has ended tells of all before it.
DEVICE void launch_next() {
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.launch_dependents;" : : : "memory");
#endif
}
DEVICE void await_earlier() {
#if __CUDA_ARCH__ >= 900
	asm volatile("griddepcontrol.wait;" : : : "memory");
#endif
}

// prefetch brings the line of memory at an address near: constants that are wanted once the
// launches ahead have ended.
DEVICE void prefetch(const void *global) { asm volatile("prefetch.global.L2 [%0];" : : "l"(global)); }

// last_of counts a block that ends, and reports whether it is the last of n that count at
// one place, which is zero again then. The last can read what the others wrote before: one
// thread counts, between two barriers of its block, which its fences serve as a whole.
DEVICE bool last_of(uint32_t *counter, int n) {
	uint32_t before;
	asm volatile("fence.acq_rel.gpu;" : : : "memory");
	asm volatile("atom.relaxed.gpu.global.inc.u32 %0, [%1], %2;" : "=r"(before) : "l"(counter), "r"(n - 1) : "memory");
	asm volatile("fence.acq_rel.gpu;" : : : "memory");
	return before == (uint32_t)n - 1;
}

// dp4a: c + the products of four signed bytes.
DEVICE int dp4a(uint32_t a, uint32_t b, int c) {
	int d;
	asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
	return d;
}

// mma_bf16, mma_f16: c[16x8] += a[16x16] * b[16x8], fragments as in the PTX manual,
// "mma.m16n8k16 with floating point type".
DEVICE void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
		: "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

DEVICE void mma_f16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
		: "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// mma_s8: c[16x8] += a[16x32] * b[32x8] of signed bytes, exact; fragments as in the PTX
// manual, "mma.m16n8k32".
DEVICE void mma_s8(int c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
	asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
		: "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// copy_async begins a copy of 16 bytes into shared memory, past the first cache;
// copy_async_8 of 8;
// commit_async ends a group of them, wait_async<N> waits for all but the last N
// groups of this thread.
DEVICE void copy_async(void *shared, const void *global) {
	uint32_t to = (uint32_t)(uint64_t)(__attribute__((address_space(3))) char *)shared;
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(to), "l"(global) : "memory");
}
DEVICE void copy_async_8(void *shared, const void *global) {
	uint32_t to = (uint32_t)(uint64_t)(__attribute__((address_space(3))) char *)shared;
	asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" : : "r"(to), "l"(global) : "memory");
}
DEVICE void commit_async() { asm volatile("cp.async.commit_group;" : : : "memory"); }
template <int N>
DEVICE void wait_async() { asm volatile("cp.async.wait_group %0;" : : "n"(N) : "memory"); }

// pack_bf16 and pack_f16 round two values to bfloat16 or binary16, the first in the low
// half.
DEVICE uint32_t pack_bf16(float a, float b) {
	uint32_t d;
	asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(b), "f"(a));
	return d;
}

DEVICE uint32_t pack_f16(float a, float b) {
	uint32_t d;
	asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(b), "f"(a));
	return d;
}

// fma_f16x2: a * b + c of each of two binary16 values, rounded once.
DEVICE uint32_t fma_f16x2(uint32_t a, uint32_t b, uint32_t c) {
	uint32_t d;
	asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
	return d;
}

// halves is the low halves of two words, or the high ones, the first's below.
DEVICE uint32_t halves(uint32_t a, uint32_t b, int high) {
	uint32_t d;
	asm("prmt.b32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(high ? 0x7632 : 0x5410));
	return d;
}

// opaque is its argument, of which the compiler knows nothing: what is computed from it is
// computed where it stands, not ahead or later, where it would take registers meanwhile.
DEVICE int opaque(int v) {
	asm volatile("" : "+r"(v));
	return v;
}
DEVICE float opaque(float v) {
	asm volatile("" : "+f"(v));
	return v;
}

#else
#include "../sim/thread.h"
#endif

// Loops over register arrays are unrolled, or the arrays would lie in memory.
#define EACH(i, n) UNROLL for (int i = 0; i < (n); i++)

// quad is 16 bytes: what a lane copies or loads at once.
struct alignas(16) quad {
	uint32_t v[4];
};

// group_sum is the scale and the sum of a group of 32 quantized activations.
struct alignas(8) group_sum {
	float scale;
	int sum;
};

// segments are the runs of steps of one group of codes in a chunk of K (codes.cu): first
// is its first segment's number, begins has a bit for each step with which one begins.
struct segments {
	int first;
	uint32_t begins;
};

DEVICE float fma32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
DEVICE uint32_t bits(float f) { uint32_t u; __builtin_memcpy(&u, &f, 4); return u; }
DEVICE float from_bits(uint32_t u) { float f; __builtin_memcpy(&f, &u, 4); return f; }
DEVICE int min_i(int a, int b) { return a < b ? a : b; }
DEVICE int max_i(int a, int b) { return a > b ? a : b; }

DEVICE float shuffle_xor(float v, int mask) { return from_bits(shuffle_xor_i((int)bits(v), mask)); }
DEVICE double shuffle_xor(double v, int mask) {
	uint64_t u;
	__builtin_memcpy(&u, &v, 8);
	uint32_t lo = shuffle_xor_i((int)(uint32_t)u, mask), hi = shuffle_xor_i((int)(uint32_t)(u >> 32), mask);
	u = (uint64_t)hi << 32 | lo;
	__builtin_memcpy(&v, &u, 8);
	return v;
}

// Stored types and codes, as layout.go numbers them for the device; Q8 is a KV
// pool's.
enum { F32 = 0, BF16 = 1, F16 = 2, Q8 = 3, I8 = 4, U4 = 5, I4 = 6, F8 = 7 };

DEVICE float from_bf16(uint16_t h) { return from_bits((uint32_t)h << 16); }

// to_bf16 rounds to nearest even; NaN stays NaN.
DEVICE uint16_t to_bf16(float f) {
	uint32_t u = bits(f);
	if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

#ifdef __CUDA__
DEVICE float from_f16(uint16_t h) {
	float f;
	asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
	return f;
}
#else
// from_f16 widens binary16, subnormals too.
DEVICE float from_f16(uint16_t h) {
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, body = (uint32_t)(h & 0x7fff) << 13;
	if (body >= 0x0f800000) return from_bits(sign | body | 0x7f800000);          // infinite, NaN
	return from_bits(sign | bits(from_bits(body) * from_bits(0x77800000)));      // times 2^112
}
#endif

// to_f16 rounds to nearest even, into subnormals too; what is too large becomes
// infinite.
DEVICE uint16_t to_f16(float f) {
	uint32_t sign = bits(f) >> 16 & 0x8000, u = bits(f) & 0x7fffffff;
	if (u > 0x7f800000) return (uint16_t)(sign | 0x7e00);
	if (u >= 0x477ff000) return (uint16_t)(sign | 0x7c00); // 65520 and up
	if (u < 0x38800000) {                                  // below 2^-14: in units of 2^-24, which the addition rounds to
		float scaled = from_bits(u) + 0.5f;
		return (uint16_t)(sign | (bits(scaled) - 0x3f000000));
	}
	u += 0xfff + (u >> 13 & 1);
	return (uint16_t)(sign | ((u - 0x38000000) >> 13));
}

#ifndef __CUDA__
DEVICE uint32_t pack_bf16(float a, float b) { return (uint32_t)to_bf16(a) | (uint32_t)to_bf16(b) << 16; }
DEVICE uint32_t pack_f16(float a, float b) { return (uint32_t)to_f16(a) | (uint32_t)to_f16(b) << 16; }
DEVICE uint32_t fma_f16x2(uint32_t a, uint32_t b, uint32_t c) { // of sums that float32 has whole
	uint32_t d = 0;
	for (int i = 0; i < 32; i += 16) d |= (uint32_t)to_f16(fma32(from_f16((uint16_t)(a >> i)), from_f16((uint16_t)(b >> i)), from_f16((uint16_t)(c >> i)))) << i;
	return d;
}
DEVICE uint32_t halves(uint32_t a, uint32_t b, int high) { return high ? a >> 16 | (b & 0xffff0000u) : (a & 0xffff) | b << 16; }
#endif

// from_f8 widens e4m3; its subnormals are float32's, times 2^120.
DEVICE float from_f8(uint32_t b) { return from_bits((b & 0x80) << 24 | (b & 0x7f) << 20) * 0x1p120f; }

DEVICE float widen(const void *p, long i, int type) {
	switch (type) {
	case BF16: return from_bf16(((const uint16_t *)p)[i]);
	case F16: return from_f16(((const uint16_t *)p)[i]);
	}
	return ((const float *)p)[i];
}

// exp32, tanh32: kernels/cpu's, operation by operation.
DEVICE float exp32(float x) {
	if (-104.0f > x) x = -104.0f;
	if (89.0f < x) x = 89.0f;
	float t = fma32(x, 1.44269504088896341f, 12582912.0f);
	float n = t - 12582912.0f;
	float r = fma32(n, -0.693145751953125f, x);
	r = fma32(n, -1.42860676533018e-06f, r);
	float p = 0.001381457201205194f;
	p = fma32(p, r, 0.00836872961372137f);
	p = fma32(p, r, 0.04166838899254799f);
	p = fma32(p, r, 0.1666652113199234f);
	p = fma32(p, r, 0.4999999403953552f);
	p = fma32(p, r, 1.0f);
	p = fma32(p, r, 1.0f);
	int i = (int)(bits(t) - 0x4b400000u);
	int half = i >> 1, rest = i - half;
	return p * from_bits((uint32_t)(half + 127) << 23) * from_bits((uint32_t)(rest + 127) << 23);
}

DEVICE float tanh32(float x) {
	float a = from_bits(bits(x) & 0x7fffffffu);
	float r = 1.0f - 2.0f / (exp32(a + a) + 1.0f);
	if (!(a >= 0.625f)) {
		float z = a * a;
		float p = -0.0057049869934552029f;
		p = fma32(p, z, 0.020639087244729173f);
		p = fma32(p, z, -0.053739715085824959f);
		p = fma32(p, z, 0.13331442198175808f);
		p = fma32(p, z, -0.33333281942012773f);
		r = fma32(p * z, a, a);
	}
	return from_bits(bits(r) | (bits(x) & 0x80000000u));
}

DEVICE float silu32(float x) { return x / (1.0f + exp32(-x)); }

// gelu32 is the tanh form, as x / (1 + exp(t)) (kernels/cpu, gelu32).
DEVICE float gelu32(float x) {
	float t = x * fma32(x * x, -0.0713548162726f, -1.5957691216057308f);
	return x / (1.0f + exp32(t));
}

// begin_after begins a kernel that reads nothing but what launches ahead may write.
DEVICE void begin_after() {
	launch_next();
	await_earlier();
}

// fit_f16 is the power of two that brings values, of which top is the largest, near 2^15,
// so that binary16 holds them; back is its reciprocal.
DEVICE float fit_f16(float top, float &back) {
	int up = top == 0 ? 0 : min_i(14 + 127 - (int)(bits(top) >> 23), 120); // so that back is normal
	back = from_bits((uint32_t)(127 - up) << 23);
	return from_bits((uint32_t)(127 + up) << 23);
}

// warp_sum and block_sum add a value of each of the warp's threads, or of n threads
// (a power of two of them, at most 1024), in one fixed tree; every thread gets the
// sum. space has n / 32 elements.
DEVICE double warp_sum(double v) {
	for (int m = 1; m < 32; m *= 2) v += shuffle_xor(v, m);
	return v;
}

DEVICE double block_sum(double v, double *space, int n) {
	v = warp_sum(v);
	if (thread() % 32 == 0) space[thread() / 32] = v;
	sync();
	v = warp_sum(thread() % 32 < n / 32 ? space[thread() % 32] : 0.0);
	sync();
	return v;
}

// warp_max and block_max are the largest value; NaN is not the largest of anything.
DEVICE float warp_max(float v) {
	for (int m = 1; m < 32; m *= 2) {
		float o = shuffle_xor(v, m);
		if (o > v || v != v) v = o;
	}
	return v;
}

DEVICE float block_max(float v, float *space, int n) {
	v = warp_max(v);
	if (thread() % 32 == 0) space[thread() / 32] = v;
	sync();
	v = space[0];
	for (int i = 1; i < n / 32; i++)
		if (space[i] > v || v != v) v = space[i];
	sync();
	return v;
}
