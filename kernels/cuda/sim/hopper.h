// What Hopper has, on the host (../src/hopper.h). A kernel that is too early, or writes
// where something is still read or to land, gives other results; what a device would
// fault on, or leave undefined, ends the process with a line that says what.
#pragma once

#include "thread.h"

namespace sim {

int cluster_rank();
void cluster_barrier();
uint32_t shared_at(const void *p);

void mbarrier_init(uint32_t at, int count);
void mbarrier_expect(uint32_t at, int bytes);
void mbarrier_arrive(uint32_t at, int rank);
bool mbarrier_try(uint32_t at, int parity);
// copy_bulk lands, and is counted, at random, at the latest when nobody can go on.
void copy_bulk(uint32_t to, const void *from, int bytes, uint32_t barrier, unsigned blocks);

// A multiplication is done at random between its issue by the last of the warpgroup's
// threads and the end of the wait for its group. Until then acc is NaN; a and what b
// describes are read when it is done.
void wgmma(float *acc, int columns, const uint32_t *a, uint64_t b, bool add);
void wgmma_fence();
void wgmma_commit();
void wgmma_wait(int groups);

} // namespace sim

#define ALONE(threads) extern "C" void

DEVICE uint32_t shared_at(const void *p) { return sim::shared_at(p); }
DEVICE int cluster_rank() { return sim::cluster_rank(); }
DEVICE void cluster_sync() { sim::cluster_barrier(); }
DEVICE void barrier_init(uint32_t at, int count) { sim::mbarrier_init(at, count); }
DEVICE void barrier_ready() {}
DEVICE void barrier_expect(uint32_t at, int bytes) { sim::mbarrier_expect(at, bytes); }
DEVICE void barrier_arrive(uint32_t at, int rank, bool yes) {
	if (yes) sim::mbarrier_arrive(at, rank);
}
DEVICE bool barrier_try(uint32_t at, int parity) { return sim::mbarrier_try(at, parity); }
DEVICE void copy_bulk(uint32_t to, const void *from, int bytes, uint32_t barrier) { sim::copy_bulk(to, from, bytes, barrier, 1u << sim::cluster_rank()); }
DEVICE void copy_bulk_all(uint32_t to, const void *from, int bytes, uint32_t barrier, uint16_t blocks) { sim::copy_bulk(to, from, bytes, barrier, blocks); }
DEVICE void shared_written() {}
template <int N, bool ADD>
DEVICE void wgmma_f16(float acc[N / 8][4], const uint32_t a[4], uint64_t b) { sim::wgmma(acc[0], N, a, b, ADD); }
template <int N>
DEVICE void more_registers() {}
template <int N>
DEVICE void fewer_registers() {}
DEVICE void wgmma_fence() { sim::wgmma_fence(); }
DEVICE void wgmma_commit() { sim::wgmma_commit(); }
template <int N>
DEVICE void wgmma_wait() { sim::wgmma_wait(N); }
