// Runs a kernel of PTX, a fiber or a plain loop for each of its threads.
#pragma once

#include "ptx_parse.h"
#include "ptx_race.h"
#include "ptx_hopper.h"

namespace ptx {

bool in_global(uint64_t at, size_t bytes) {
	static uint64_t low = 1, high = 0; // of the allocation that was hit last
	static long when = -1;
	if (when != sim::freed) low = 1, high = 0, when = sim::freed;
	if (at >= low && at + bytes <= high) return true;
	auto it = sim::allocations.upper_bound(at);
	if (it == sim::allocations.begin()) return false;
	--it;
	if (at + bytes > it->first + it->second) return false;
	low = it->first, high = it->first + it->second;
	return true;
}

// begin begins a block, and returns the bytes of its shared memory.
static unsigned begin(const kernel &k, unsigned dynamic) {
	now->begin(&k);
	return k.shared + dynamic;
}

// meet holds the lanes of a warp to the one instruction at which they all have to be.
void meet(const context &c, const instruction &i) {
	auto &a = now->met[sim::now.thread / 32];
	if (sim::warps[sim::now.thread / 32].alive != ~0u) die(c, i, "lanes of the warp have ended");
	size_t n = a.lanes[sim::now.thread % 32]++ - a.gone;
	if (n == a.list.size()) a.list.push_back(&i);
	if (a.list[n] != &i) die(c, i, text("other lanes of the warp are at line %d", a.list[n]->line));
	if (n == 0 && *std::min_element(std::begin(a.lanes), std::end(a.lanes)) > a.gone) a.list.pop_front(), a.gone++;
}

static void run(void **parameters) {
	const kernel &k = *now->k;
	int thread = sim::now.thread;
	std::vector<uint64_t> &file = now->files[thread];
	size_t n = k.registers + k.constants.size();
	if (file.size() < n) file.resize(n, 0xfff7fff7fff7fff7); // NaN: what was not written must not be used
	std::copy(k.constants.begin(), k.constants.end(), file.begin() + k.registers);
	uint64_t *r = file.data();
	const uint64_t special[] = {(uint64_t)::thread(), (uint64_t)::block_x(), (uint64_t)::block_y(), (uint64_t)::block_z(), (uint64_t)sim::now.blocks[0],
		(uint64_t)sim::now.blocks[1], (uint64_t)sim::now.blocks[2], (uint64_t)k.threads, (uint64_t)::thread() % 32, (uint64_t)sim::cluster_rank()};
	std::copy(std::begin(special), std::end(special), r);
	if (!k.awaits) sim::await_earlier(); // code that is not Hopper's waits before it begins
	context c = {r, &k, parameters, 0, false};
	const instruction *code = k.code.data();
	while (!c.done) {
		const instruction &i = code[c.pc++];
		if (i.guard >= 0 && ((r[i.guard] & 1) != 0) == i.negated) continue;
		i.run(c, i);
	}
}

} // namespace ptx
