// Hopper's instructions, over async.h.
#pragma once

#include "ptx_race.h"

namespace ptx {

// A shared address of a block of the cluster has its rank, plus one, in the upper bits;
// 0 is the thread's own block.
enum { RANK_BITS = 24 };

enum { WEIGHTS = 4, AFTER = WEIGHTS + 5 }; // operands behind the sums

// sums is how many a wgmma has, half of its columns.
inline int sums(const instruction &i) { return (int)i.all.size() - AFTER; }

// multiply_group is wgmma with a in registers: d[sums], a[4], b's descriptor, whether to add.
// While one is on its way the sums are in no register, and a's may not change.
inline void multiply_group(context &c, const instruction &i) {
	meet(c, i);
	const int SUMS = sums(i);
	flight &f = now->flights[sim::now.thread];
	for (int n = SUMS + WEIGHTS + 2; n < (int)i.all.size(); n++)
		if (c.r[i.all[n]] != (n < SUMS + WEIGHTS + 4 ? 1 : 0)) die(c, i, "wgmma that negates or transposes");
	if (!f.first) {
		f.first = &i;
		for (int n = 0; n < SUMS; n++) memcpy(&f.acc[n], &c.r[i.all[n]], 4);
	}
	for (int n = 0; n < SUMS; n++)
		if (i.all.size() != f.first->all.size() || i.all[n] != f.first->all[n]) die(c, i, text("sums that are on their way since line %d are in other registers here", f.first->line));
	f.operands.push_back({&i, {}});
	uint32_t *a = f.operands.back().a;
	for (int n = 0; n < WEIGHTS; n++) a[n] = (uint32_t)c.r[i.all[SUMS + n]];
	sim::wgmma(f.acc, 2 * SUMS, a, c.r[i.all[SUMS + WEIGHTS]], c.r[i.all[SUMS + WEIGHTS + 1]] & 1);
	for (int n = 0; n < SUMS; n++) memcpy(&c.r[i.all[n]], &f.acc[n], 4);
}

inline void wait_group(context &c, const instruction &i) {
	meet(c, i);
	flight &f = now->flights[sim::now.thread];
	for (const flight::operand &o : f.operands)
		for (int n = 0; n < WEIGHTS; n++)
			if ((uint32_t)c.r[o.i->all[sums(*o.i) + n]] != o.a[n]) die(c, i, text("a register of the wgmma of line %d was written while it was on its way", o.i->line));
	sim::wgmma_wait(get<int>(c, i, 0));
	size_t left = sim::multiplications_left();
	while (f.operands.size() > left) f.operands.pop_front();
	if (!f.first || left > 0) return;
	for (int n = 0; n < sums(*f.first); n++) c.r[f.first->all[n]] = bits(f.acc[n]);
	f.first = nullptr;
}

template <bool ALL>
void bulk(context &c, const instruction &i) {
	uint32_t to = get<uint32_t>(c, i, 0), bytes = get<uint32_t>(c, i, 2), blocks = ALL ? get<uint16_t>(c, i, 4) : 1u << sim::cluster_rank();
	for (int rank = 0; rank < sim::MAX_CLUSTER; rank++)
		if (blocks >> rank & 1) overwrite(c, i, rank, to, bytes);
	sim::copy_bulk(to, (const void *)get<uint64_t>(c, i, 1), bytes, get<uint32_t>(c, i, 3), blocks);
}

inline void hopper(table &t) {
	for (int columns : {128, 192}) {
		std::string name = text("wgmma.mma_async.sync.aligned.m64n%dk16.f32.f16.f16", columns), signature = "={" + std::string(columns / 2, 'f') + "} {wwww} d p n n n";
		set(t, name.c_str(), "", signature.c_str(), multiply_group, 0, 0, true);
	}
	for (const char *name : {"setmaxnreg.inc.sync.aligned.u32", "setmaxnreg.dec.sync.aligned.u32"}) set(t, name, "", "n", ACTION { meet(c, i); }, 0, 0, true);
	set(t, "wgmma.wait_group.sync.aligned", "", "n", wait_group, 0, 0, true);
	set(t, "wgmma.fence.sync.aligned", "", "", ACTION {
		meet(c, i);
		sim::wgmma_fence();
	}, 0, 0, true);
	set(t, "wgmma.commit_group.sync.aligned", "", "", ACTION {
		meet(c, i);
		sim::wgmma_commit();
	}, 0, 0, true);

	set(t, "mbarrier.init.shared::cta.b64", "", "s w", ACTION { sim::mbarrier_init(get<uint32_t>(c, i, 0) + i.offset, get<int>(c, i, 1)); }, 0, 0, true);
	set(t, "mbarrier.arrive.expect_tx.shared::cta.b64", "", "_ s w", ACTION { sim::mbarrier_expect(get<uint32_t>(c, i, 0) + i.offset, get<int>(c, i, 1)); }, 0, 0, true);
	set(t, "mbarrier.arrive.shared::cluster.b64", "", "_ s", ACTION {
		uint32_t at = get<uint32_t>(c, i, 0) + i.offset, rank = at >> RANK_BITS;
		arrive();
		sim::mbarrier_arrive(at & ((1 << RANK_BITS) - 1), rank ? rank - 1 : sim::cluster_rank());
	}, 0, 0, true);
	set(t, "mbarrier.try_wait.parity.shared::cta.b64", "", "=p s w", ACTION {
		put<uint8_t>(c, i, 0, sim::mbarrier_try(get<uint32_t>(c, i, 1) + i.offset, get<int>(c, i, 2)));
	}, 0, 0, true);
	set(t, "mapa.shared::cluster.u32", "", "=w w w", ACTION { put<uint32_t>(c, i, 0, get<uint32_t>(c, i, 1) | (get<uint32_t>(c, i, 2) + 1) << RANK_BITS); });
	set(t, "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes", "", "s m w s", bulk<false>, 0, 0, true);
	set(t, "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster", "", "s m w s h", bulk<true>, 0, 0, true);
	set(t, "barrier.cluster.arrive", "", "", ACTION {}, 0, 0, true); // wait, which always follows, does both
	set(t, "barrier.cluster.wait", "", "", ACTION { sim::cluster_barrier(); }, 0, 0, true);
	for (const char *fence : {"fence.proxy.async", "fence.mbarrier_init.release.cluster"}) set(t, fence, "", "", ACTION {});
}

} // namespace ptx
