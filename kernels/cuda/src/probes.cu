// Kernels that use up one of the device's limits and do nothing else. Each thread
// does n rounds of independent operations; the results are written where they come
// out as they cannot.
#include "device.h"

enum { CHAINS = 16 };

// probe_mma: 8 products of 16x8x16 a warp and round.
KERNEL(256) probe_mma(float *dst, int n, int seed) {
	begin_after();
	uint32_t a[4];
	EACH(i, 4) a[i] = (uint32_t)(seed + thread() + i) & 0x3f803f80u;
	float acc[8][4] = {};
	for (int i = 0; i < n; i++) EACH(j, 8) mma_bf16(acc[j], a, a[0] + (uint32_t)j, a[1]);
	float sum = 0;
	EACH(j, 8) EACH(i, 4) sum += acc[j][i];
	if (sum == -1.0f) dst[thread()] = sum;
}

// probe_fma: 16 fused multiply-adds a thread and round.
KERNEL(256) probe_fma(float *dst, int n, float x) {
	begin_after();
	float acc[CHAINS];
	EACH(j, CHAINS) acc[j] = (float)(thread() + j);
	for (int i = 0; i < n; i++) EACH(j, CHAINS) acc[j] = fma32(acc[j], x, x);
	float sum = 0;
	EACH(j, CHAINS) sum += acc[j];
	if (sum == -1.0f) dst[thread()] = sum;
}

// probe_mma_s8: 8 products of 16x8x32 a warp and round.
KERNEL(256) probe_mma_s8(float *dst, int n, int seed) {
	begin_after();
	uint32_t a[4];
	EACH(i, 4) a[i] = (uint32_t)(seed + thread() + i);
	int acc[8][4] = {};
	for (int i = 0; i < n; i++) EACH(j, 8) mma_s8(acc[j], a, a[0] + (uint32_t)j, a[1]);
	int sum = 0;
	EACH(j, 8) EACH(i, 4) sum += acc[j][i];
	if (sum == -12345) dst[thread()] = (float)sum;
}

// probe_nothing is what a launch costs.
KERNEL(32) probe_nothing(float *dst) {
	begin_after();
	if (thread() > 32) dst[0] = 0;
}
