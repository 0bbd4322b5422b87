// Finds races in shared memory, whatever order the threads happened to run in: two accesses
// of a word by different threads, one of them a write, without a barrier between them. What
// orders a warp's lanes is bar.warp.sync alone; shuffles and mma, at which they meet too, do
// not order memory. A word that cp.async writes may not be touched from the copy's beginning
// until its thread has waited for it, and has been written then.
#pragma once

#include <array>
#include <deque>
#include <memory>

#include "ptx_ops.h"

namespace ptx {

// Times are the number of barriers that a thread has passed, of a block counted on from the
// block before.
struct moment {
	uint64_t block = 0;
	uint32_t warp = 0;
	int thread = -1; // SEVERAL_LANES: of this one's warp; SEVERAL_WARPS
	int line = 0;
};
enum { SEVERAL_WARPS = -2, SEVERAL_LANES = 1 << 16 };

struct word {
	moment read, written;
	bool coming = false; // cp.async's, by written.thread
};

struct coming {
	uint32_t first, end; // words
	int group;
};

// flight is the multiplications that a thread has on their way (ptx_hopper.h).
struct flight {
	const instruction *first = nullptr; // whose registers are the sums'
	float acc[sim::MAX_COLUMNS / 2];
	struct operand {
		const instruction *i;
		uint32_t a[4];
	};
	std::deque<operand> operands;
};

// block is what there is of a block that runs.
struct block {
	const kernel *k = nullptr;
	std::vector<uint64_t> files[sim::MAX_THREADS]; // registers
	flight flights[sim::MAX_THREADS];
	// Where the lanes of each warp have to meet: some may be ahead of others.
	struct {
		std::deque<const instruction *> list; // the first is number gone
		long gone, lanes[32];                 // how often each lane has met
	} met[sim::MAX_THREADS / 32];
	// Of races:
	word words[sim::MAX_SHARED / 4]; // of a block that is no cluster's
	struct {
		uint64_t block = 0;
		uint32_t warp = 0;
	} clocks[sim::MAX_THREADS];
	uint64_t last = 1;
	std::vector<coming> on_the_way[sim::MAX_THREADS];
	int groups[sim::MAX_THREADS] = {}; // ended
	// Of kernels with mbarriers: by the cluster's block, word and warp, how many barriers of the
	// warp, and one, its lanes had passed when one last read it; and when one last arrived.
	std::vector<std::array<uint32_t, sim::MAX_THREADS / 32>> reads[sim::MAX_CLUSTER];
	uint32_t arrived[sim::MAX_THREADS / 32] = {};

	void begin(const kernel *of) {
		k = of;
		for (const auto &c : clocks) last = std::max(last, c.block);
		last++;
		for (auto &m : met) m = {};
		if (k->barriers) {
			for (auto &r : reads) r.assign(sim::MAX_SHARED / 4, {});
			memset(arrived, 0, sizeof arrived);
		}
		for (int t = 0; t < k->threads * k->cluster; t++) clocks[t].block = last, clocks[t].warp = 0, on_the_way[t].clear(), groups[t] = 0;
	}
};

static std::unique_ptr<block> now = std::make_unique<block>(); // the one that runs

// before reports whether what happened at m is ordered before what thread t does now.
static bool before(const moment &m, int t) {
	if (m.block != now->clocks[t].block || m.thread == t) return true; // of an earlier block too
	if (m.thread == SEVERAL_WARPS) return false;
	return (m.thread & ~SEVERAL_LANES) / 32 == t / 32 && m.warp < now->clocks[t].warp;
}

static std::string who(const moment &m) {
	if (m.thread == SEVERAL_WARPS) return text("several warps (line %d)", m.line);
	return text("thread %d%s (line %d)", m.thread & ~SEVERAL_LANES, m.thread & SEVERAL_LANES ? " and others" : "", m.line);
}

void touch(const context &c, const instruction &i, uint32_t at, int bytes, bool write) {
	int t = sim::now.thread;
	if (c.k->barriers) { // these order what is written, which is not followed
		for (uint32_t w = at / 4; w < (at + bytes + 3) / 4 && !write; w++) now->reads[sim::cluster_rank()][w][t / 32] = now->clocks[t].warp + 1;
		return;
	}
	for (uint32_t w = at / 4; w < (at + bytes + 3) / 4; w++) {
		word &o = now->words[w];
		const char *does = write ? "writes" : "reads";
		if (o.coming && o.written.block == now->clocks[t].block) die(c, i, text("%s shared memory at %u, which a copy of %s may not have written yet", does, w * 4, who(o.written).c_str()));
		if (!before(o.written, t)) die(c, i, text("%s shared memory at %u that %s writes, without a barrier between", does, w * 4, who(o.written).c_str()));
		moment me = {now->clocks[t].block, now->clocks[t].warp, t, i.line};
		if (write) {
			if (!before(o.read, t)) die(c, i, text("writes shared memory at %u that %s reads, without a barrier between", w * 4, who(o.read).c_str()));
			o.written = me, o.coming = false;
		} else {
			if (!before(o.read, t)) {
				bool lanes = o.read.thread >= 0 && (o.read.thread & ~SEVERAL_LANES) / 32 == t / 32;
				me.thread = lanes ? t | SEVERAL_LANES : SEVERAL_WARPS;
			}
			o.read = me;
		}
	}
}

void begin_copy(const context &c, const instruction &i, uint32_t at, int bytes) {
	touch(c, i, at, bytes, true);
	for (uint32_t w = at / 4; w < (at + bytes) / 4; w++) now->words[w].coming = true;
	now->on_the_way[sim::now.thread].push_back({at / 4, (at + bytes) / 4, now->groups[sim::now.thread]});
}

void end_group() { now->groups[sim::now.thread]++; }

// end_copies is that a thread has waited for all but the last groups.
void end_copies(int groups) {
	int t = sim::now.thread;
	auto &list = now->on_the_way[t];
	size_t n = 0;
	for (; n < list.size() && list[n].group < now->groups[t] - groups; n++) {
		for (uint32_t w = list[n].first; w < list[n].end; w++) {
			now->words[w].coming = false;
			now->words[w].written.block = now->clocks[t].block, now->words[w].written.warp = now->clocks[t].warp;
		}
	}
	list.erase(list.begin(), list.begin() + n);
}

// arrive is that a thread arrives at an mbarrier: its warp is done with what its lanes had read
// before the last bar.warp.sync.
inline void arrive() { now->arrived[sim::now.thread / 32] = now->clocks[sim::now.thread].warp + 1; }

// overwrite begins a bulk copy into a block of the cluster: warps that read there must have
// said that they are done, after all their lanes were.
inline void overwrite(const context &c, const instruction &i, int rank, uint32_t at, int bytes) {
	for (uint32_t w = at / 4; w < (at + bytes) / 4; w++)
		for (int warp = 0; warp < sim::MAX_THREADS / 32; warp++) {
			uint32_t &read = now->reads[rank][w][warp];
			if (read && read >= now->arrived[warp]) die(c, i, text("copies to shared memory at %u of block %d of the cluster, which lanes of warp %d may still read", w * 4, rank, warp));
			read = 0;
		}
}

void passed_barrier(bool of_block) {
	int t = sim::now.thread;
	if (of_block) now->clocks[t].block++;
	else now->clocks[t].warp++;
}

} // namespace ptx
