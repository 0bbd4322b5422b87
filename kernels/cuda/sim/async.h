// Hopper's barriers, bulk copies and multiplications (hopper.h), over fibers.
#pragma once

#include "fiber.h"
#include "hopper.h"

namespace sim {

static bool inside(uint64_t p, size_t n); // of an allocation

static void misuse(const char *what) {
	fprintf(stderr, "sim: block (%d, %d, %d), thread %d: %s\n", block_x(), block_y(), block_z(), thread(), what);
	abort();
}

int cluster_rank() { return now.thread >= now.threads; }

uint32_t shared_at(const void *p) {
	long at = (const uint8_t *)p - shared_memory[cluster_rank()];
	if (at < 0 || at >= shared_bytes) misuse("an address outside of the block's dynamic shared memory");
	return (uint32_t)at;
}

// Fibers that wait for something, by warp.
struct sleepers {
	uint32_t lanes[MAX_THREADS / LANES] = {};

	void sleep() {
		lanes[now.thread / LANES] |= 1u << now.thread % LANES;
		yield();
	}
	void wake_all() {
		for (int w = 0; w < MAX_THREADS / LANES; w++)
			if (lanes[w]) wake(w, lanes[w]), lanes[w] = 0;
	}
};

struct mbarrier {
	int count = 0, pending = 0;
	long bytes = 0; // that are expected and have not come
	unsigned phase = 0;
	sleepers waiting;

	void check() {
		if (pending > 0 || bytes != 0) return;
		phase++, pending = count;
		waiting.wake_all();
	}
};
static std::map<uint32_t, mbarrier> mbarriers[2]; // of a cluster's blocks

static mbarrier &barrier_at(uint32_t at, int rank) {
	auto it = mbarriers[rank].find(at);
	if (it == mbarriers[rank].end()) misuse("no barrier there");
	return it->second;
}

void mbarrier_init(uint32_t at, int count) {
	need_fiber();
	if (at % 8 || count < 1) misuse("a barrier at no multiple of 8, or of nobody");
	if (!mbarriers[cluster_rank()].emplace(at, mbarrier{count, count}).second) misuse("a barrier is made twice");
}

void mbarrier_arrive(uint32_t at, int rank) {
	mbarrier &b = barrier_at(at, rank);
	if (b.pending-- == 0) misuse("more arrivals than the barrier counts");
	b.check();
}

void mbarrier_expect(uint32_t at, int bytes) {
	barrier_at(at, cluster_rank()).bytes += bytes;
	mbarrier_arrive(at, cluster_rank());
}

struct bulk {
	int rank, bytes;
	uint32_t to, barrier;
	const void *from;
};
static std::vector<bulk> bulks; // on their way

static void land(size_t i) {
	bulk c = bulks[i];
	bulks[i] = bulks.back();
	bulks.pop_back();
	memcpy(shared_memory[c.rank] + c.to, c.from, c.bytes);
	mbarrier &b = barrier_at(c.barrier, c.rank);
	b.bytes -= c.bytes;
	b.check();
}

// land_one lands a copy, where there is one.
static bool land_one() {
	if (bulks.empty()) return false;
	land(random(bulks.size()));
	return true;
}

void copy_bulk(uint32_t to, const void *from, int bytes, uint32_t barrier, unsigned blocks) {
	if (to % 16 || (uintptr_t)from % 16 || bytes % 16 || bytes <= 0) misuse("a bulk copy of, from or to no multiple of 16");
	if (to + bytes > shared_bytes) misuse("a bulk copy beyond the block's shared memory");
	if (!inside((uint64_t)from, bytes)) misuse("a bulk copy from outside of the device's memory");
	for (int rank = 0; rank < 2; rank++)
		if (blocks >> rank & 1) bulks.push_back({rank, bytes, to, barrier, from});
	while (random(3) == 0 && land_one()) {}
}

bool mbarrier_try(uint32_t at, int parity) {
	mbarrier &b = barrier_at(at, cluster_rank());
	if (random(4) == 0) land_one();
	if ((b.phase & 1) == (unsigned)parity) { // not ended
		b.waiting.sleep();
		return false;
	}
	return random(8) != 0;
}

void cluster_barrier() {
	need_fiber();
	if (++cluster_arrived == cluster_alive) pass_cluster();
	yield();
}

// A warpgroup's multiplications, in the order in which they were issued.
enum { GROUP = 128, MAX_COLUMNS = 256, DEEP = 16 };

struct multiplication {
	const uint32_t *a[GROUP];
	uint64_t b;
	int columns;
	bool add;
	int issued; // by so many threads
};

struct warpgroup {
	std::deque<multiplication> list; // the first is number done
	long done;
	float acc[GROUP][MAX_COLUMNS / 2]; // of threads that have some on their way
	sleepers waiting;
};
static warpgroup warpgroups[MAX_THREADS / GROUP];

struct issuer {
	float *acc; // that is on its way
	int columns;
	long issued, waited;
	std::vector<long> groups; // what was issued when they ended, of those not waited for
	bool fenced;
};
static issuer issuers[MAX_THREADS];

// Warpgroups begin with a block; 288 threads have two and a warp more.
static warpgroup &group_of() {
	int at = thread() / GROUP;
	if ((at + 1) * GROUP > now.threads) misuse("wgmma outside of a warpgroup");
	return warpgroups[cluster_rank() * (MAX_THREADS / GROUP / 2) + at];
}

// other_order is that a device's wgmma adds in another order than its mma.sync.
static bool other_order() {
	static bool other = getenv("SULLAE_SIM_WGMMA") && strcmp(getenv("SULLAE_SIM_WGMMA"), "other") == 0;
	return other;
}

// do_one does a warpgroup's first multiplication.
static void do_one(warpgroup &g) {
	multiplication &m = g.list.front();
	uint32_t at = (m.b & 0x3fff) << 4, along_k = (m.b >> 16 & 0x3fff) << 4, along_rows = (m.b >> 32 & 0x3fff) << 4;
	if (m.b & ~0x00003fff3fff3fffull) misuse("a matrix that is swizzled, or has bits that mean nothing");
	static float a[64][DEEP], b[DEEP][MAX_COLUMNS];
	int columns = m.columns;
	for (int k = 0; k < DEEP; k++)
		for (int n = 0; n < columns; n++) {
			uint32_t from = at + n / 8 * along_rows + k / 8 * along_k + n % 8 * 16 + k % 8 * 2;
			if (from + 2 > shared_bytes) misuse("a matrix beyond the block's shared memory");
			uint16_t h;
			memcpy(&h, shared_memory[cluster_rank()] + from, 2);
			b[k][n] = from_f16(h);
		}
	for (int i = 0; i < GROUP; i++)
		for (int e = 0; e < 8; e++) // as mma_all
			a[i / 32 * 16 + i % 32 / 4 + e / 2 % 2 * 8][2 * (i % 4) + e % 2 + e / 4 * 8] = from_f16((uint16_t)(m.a[i][e / 2] >> 16 * (e % 2)));
	int split = other_order() ? DEEP / 2 : DEEP;
	for (int row = 0; row < 64; row++) {
		double sum[MAX_COLUMNS];
		auto c = [&](int n) -> float & { return g.acc[row / 16 * 32 + row % 8 * 4 + n % 8 / 2][n / 8 * 4 + row % 16 / 8 * 2 + n % 2]; };
		for (int n = 0; n < columns; n++) sum[n] = m.add ? c(n) : 0;
		for (int k = 0; k < DEEP; k++) {
			if (k == split)
				for (int n = 0; n < columns; n++) sum[n] = (float)sum[n];
			for (int n = 0; n < columns; n++) sum[n] += (double)a[row][k] * b[k][n];
		}
		for (int n = 0; n < columns; n++) c(n) = (float)sum[n];
	}
	g.list.pop_front();
	g.done++;
}

void wgmma_fence() { issuers[now.thread].fenced = true; }

void wgmma(float *acc, int columns, const uint32_t *a, uint64_t b, bool add) {
	need_fiber();
	issuer &t = issuers[now.thread];
	warpgroup &g = group_of();
	if (!t.fenced) misuse("wgmma without wgmma.fence before it");
	int me = thread() % GROUP;
	if (!t.acc) {
		t.acc = acc, t.columns = columns;
		memcpy(g.acc[me], acc, columns * 2);
		memset(acc, 0xff, columns * 2);
	}
	if (t.acc != acc || t.columns != columns) misuse("wgmma with two accumulators on their way is not simulated");
	size_t number = t.issued++ - g.done;
	if (number == g.list.size()) g.list.push_back({{}, b, columns, add, 0});
	multiplication &m = g.list[number];
	if (m.b != b || m.add != add) misuse("threads of a warpgroup issue different wgmma");
	m.a[me] = a;
	if (++m.issued < GROUP) return;
	g.waiting.wake_all();
	if (random(2)) while (!g.list.empty() && g.list.front().issued == GROUP) do_one(g);
}

void wgmma_commit() { issuers[now.thread].groups.push_back(issuers[now.thread].issued); }

// multiplications_left is how many the thread has issued and not waited for.
static long multiplications_left() { return issuers[now.thread].issued - issuers[now.thread].waited; }

void wgmma_wait(int groups) {
	issuer &t = issuers[now.thread];
	warpgroup &g = group_of();
	int ended = (int)t.groups.size() - groups;
	if (ended <= 0) return;
	long upto = t.groups[ended - 1];
	t.groups.erase(t.groups.begin(), t.groups.begin() + ended);
	while (g.done < upto) {
		if (g.list.front().issued == GROUP) do_one(g);
		else g.waiting.sleep();
	}
	t.waited = upto;
	if (t.issued > upto || !t.acc) return;
	memcpy(t.acc, g.acc[thread() % GROUP], t.columns * 2);
	t.acc = nullptr, t.fenced = false;
}

// leave_async is a thread's end, begin_async a launch's blocks' beginning.
static void leave_async() {
	issuer &t = issuers[now.thread];
	if (t.acc || !t.groups.empty()) misuse("a thread ends while its wgmma are on their way");
}

static void begin_async() {
	for (auto &m : mbarriers) m.clear();
	for (warpgroup &g : warpgroups) g.list.clear(), g.done = 0;
	for (issuer &t : issuers) t = {};
}

// ended_async says what a block that has ended has left behind.
static void ended_async() {
	if (!bulks.empty()) misuse("a block ends while bulk copies are on their way");
}

} // namespace sim
