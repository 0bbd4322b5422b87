// Fibers: a CUDA thread each. One that has to wait for others of its warp or block is not
// run again before these have come; which of those that can go on is next is random, and
// so is how long one warp is stayed with.
#pragma once

namespace sim {

state now;

// A fiber is a stack and where it stopped. switch_to saves the registers that a
// call must keep, and the stack pointer.
extern "C" void sim_switch(void **save, void *to);
asm(R"(
.text
.globl sim_switch
.hidden sim_switch
sim_switch:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
)");

// Stacks begin so far apart that their tops do not lie in the same lines of a cache.
enum { STACK = (64 << 10) + 960, MAX_THREADS = 1024, LANES = 32 };

// copies are one thread's copies into shared memory, on their way until they are waited for.
struct copies {
	struct copy {
		void *to;
		const void *from;
		int bytes, group;
	};
	std::vector<copy> list;
	size_t done = 0;   // of the list
	int groups = 0;    // ended
	int waited = 0;    // for the first so many groups

	bool none() const { return waited == groups && done == list.size(); }

	void land(int upto) {
		for (; done < list.size() && list[done].group < upto; done++) memcpy(list[done].to, list[done].from, list[done].bytes);
		if (done == list.size()) list.clear(), done = 0;
		if (waited < upto) waited = upto;
	}
};

struct fiber {
	void *sp;
	copies async;
};

struct warp {
	uint32_t exchange[2][LANES * 16]; // of this rendezvous and the last one, which some may still read
	uint32_t alive, arrived;          // lanes
	int passed;
};

static fiber *fibers = new fiber[MAX_THREADS];
static warp *warps = new warp[MAX_THREADS / LANES];
static uint32_t ready[MAX_THREADS / LANES]; // lanes that can go on
static uint32_t ready_warps;
static uint32_t awaited[MAX_THREADS / LANES], held[MAX_THREADS / LANES]; // lanes that came to await_earlier; of these, those that are there
static bool early; // the block began before what is ahead of its launch
static bool may_stop, stopped; // the block may stop where it counts itself among those that ended; it has
static char *stacks;
static void *main_sp;
static int block_arrived[MAX_CLUSTER], block_alive[MAX_CLUSTER], block_warps;
static int cluster_arrived, cluster_alive, cluster_warps;
static uint64_t rng = 0x9e3779b97f4a7c15ull;
static void (*body)(void **);
static void **arguments;
static const char *running; // the kernel
alignas(1024) static uint8_t arenas[MAX_CLUSTER][MAX_SHARED];
uint8_t *shared_memory[MAX_CLUSTER] = {arenas[0], arenas[1]};
unsigned shared_bytes;
static state base;
static bool in_fiber;

static uint32_t random_bits() {
	rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
	return (uint32_t)(rng >> 32);
}

static uint32_t random(uint32_t n) { return random_bits() % n; }

// any is the number of a set bit of a mask.
static int any(uint32_t mask, int r) {
	uint32_t turned = mask >> r | mask << (-r & 31);
	return (__builtin_ctz(turned) + r) & 31;
}

static void wake(int w, uint32_t lanes) {
	ready[w] |= lanes;
	if (ready[w]) ready_warps |= 1u << w;
}

static bool land_one(); // of the bulk copies on their way

// leave_to goes on with another fiber, or with run_blocks where none can go on.
static __attribute__((noinline)) void leave_to(void **save) {
	void *to = main_sp;
	while (!ready_warps && land_one()) {}
	if (ready_warps) {
		uint32_t r = random_bits();
		int w = now.thread / LANES;
		if (!ready[w] || (r >> 10 & 63) == 0) w = any(ready_warps, r >> 5 & 31);
		int lane = any(ready[w], r & 31);
		ready[w] &= ~(1u << lane);
		if (!ready[w]) ready_warps &= ~(1u << w);
		now.thread = w * LANES + lane;
		if (save == &fibers[now.thread].sp) return; // the one that is here
		to = fibers[now.thread].sp;
	}
	sim_switch(save, to);
}

// yield waits until somebody wakes this fiber; others may run first even if it is awake.
static void yield() {
	int me = now.thread;
	leave_to(&fibers[me].sp);
}

static void need_fiber() {
	if (in_fiber) return;
	fprintf(stderr, "sim: a kernel that is said to be plain waits at a barrier\n");
	abort();
}

static void pass_block(int rank) {
	block_arrived[rank] = 0;
	for (int w = rank * block_warps; w < (rank + 1) * block_warps; w++) wake(w, warps[w].alive);
}

void barrier() {
	need_fiber();
	int rank = now.thread >= now.threads;
	if (++block_arrived[rank] == block_alive[rank]) pass_block(rank);
	yield();
}

static void pass_cluster() {
	cluster_arrived = 0;
	for (int w = 0; w < cluster_warps; w++) wake(w, warps[w].alive);
}

uint32_t *warp_exchange() {
	warp &w = warps[now.thread / LANES];
	return w.exchange[w.passed & 1];
}

static void pass_warp(int w) {
	warps[w].arrived = 0;
	warps[w].passed++;
	wake(w, warps[w].alive);
}

void warp_barrier(void (*last)(uint32_t *)) {
	need_fiber();
	int at = now.thread / LANES;
	warp &w = warps[at];
	w.arrived |= 1u << now.thread % LANES;
	if (w.arrived == w.alive) {
		if (last) last(w.exchange[w.passed & 1]);
		pass_warp(at);
	}
	yield();
}

void await_earlier() {
	int w = now.thread / LANES;
	uint32_t lane = 1u << now.thread % LANES;
	awaited[w] |= lane;
	if (!early || getenv("SULLAE_SIM_UNAWAITED")) return;
	held[w] |= lane;
	yield();
}

void counted() {
	if (!may_stop) return;
	may_stop = false, stopped = true;
	int me = now.thread;
	wake(me / LANES, 1u << me % LANES);
	sim_switch(&fibers[me].sp, main_sp);
}

// must_have_awaited: a thread that ends before what is ahead of its launch would let a
// launch behind it begin too early.
static void must_have_awaited() {
	if (awaited[now.thread / LANES] >> now.thread % LANES & 1) return;
	fprintf(stderr, "sim: a thread of %s ends without waiting for the launches ahead\n", running);
	abort();
}

void copy_async(void *to, const void *from, int bytes) {
	need_fiber();
	if (((uintptr_t)to | (uintptr_t)from) % bytes != 0) {
		fprintf(stderr, "sim: a copy of %d bytes from or to an address that is no multiple of them\n", bytes);
		abort();
	}
	copies &c = fibers[now.thread].async;
	if (random_bits() & 1) memcpy(to, from, bytes);
	else c.list.push_back({to, from, bytes, c.groups});
}

void commit_async() { fibers[now.thread].async.groups++; }

void wait_async(int groups) {
	copies &c = fibers[now.thread].async;
	c.land(c.groups - groups);
}

static void leave_async(); // what Hopper does beside the thread

// A thread that returns leaves the barriers to the others.
static void leave() {
	must_have_awaited();
	fiber &f = fibers[now.thread];
	if (!f.async.none()) {
		fprintf(stderr, "sim: a thread ends while copies are on their way\n");
		abort();
	}
	f.async.groups = f.async.waited = 0;
	int at = now.thread / LANES;
	warp &w = warps[at];
	w.alive &= ~(1u << now.thread % LANES);
	if (w.alive && w.arrived == w.alive) pass_warp(at);
	int rank = now.thread >= now.threads;
	if (--block_alive[rank] > 0 && block_arrived[rank] == block_alive[rank]) pass_block(rank);
	if (--cluster_alive > 0 && cluster_arrived == cluster_alive) pass_cluster();
	leave_async();
}

extern "C" void sim_entry() {
	body(arguments);
	leave();
	void *gone;
	leave_to(&gone);
}
asm(R"(
.text
.hidden sim_start
.globl sim_start
sim_start:
	andq $-16, %rsp
	call sim_entry
)");
extern "C" void sim_start();

// run_plain runs a block without fibers, from a random thread on.
static void run_plain(int threads) {
	in_fiber = false;
	now = base;
	memset(awaited, 0, sizeof awaited);
	now.threads = threads;
	int first = random(threads);
	for (int i = 0; i < threads; i++) {
		now.thread = (first + i) % threads;
		body(arguments);
		must_have_awaited();
	}
}

// run_blocks runs the blocks of a cluster and returns false when no fiber can go on: a
// barrier that some do not reach. Where a block is early it stops when all wait, and goes
// on after park; perhaps it stops again where it counts itself, so that other blocks come to
// what it is to have stored by then.
static bool run_blocks(int threads, int cluster, void (*park)() = nullptr) {
	in_fiber = true;
	int all = threads * cluster;
	block_warps = (threads + LANES - 1) / LANES;
	for (int i = 0; i < cluster; i++) block_arrived[i] = 0, block_alive[i] = threads;
	cluster_arrived = 0, cluster_alive = all, cluster_warps = (all + LANES - 1) / LANES;
	if (!stacks) stacks = (char *)mmap(nullptr, (size_t)STACK * MAX_THREADS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ready_warps = 0;
	for (int w = 0; w < cluster_warps; w++) {
		int lanes = all - LANES * w;
		warps[w].arrived = 0, warps[w].passed = 0;
		warps[w].alive = lanes < LANES ? (1u << lanes) - 1 : ~0u;
		ready[w] = 0, awaited[w] = 0, held[w] = 0;
		wake(w, warps[w].alive);
	}
	for (int i = 0; i < all; i++) {
		void **sp = (void **)(stacks + (size_t)STACK * (i + 1) - 64);
		*--sp = (void *)sim_start;
		for (int r = 0; r < 6; r++) *--sp = nullptr;
		fibers[i].sp = sp;
	}
	now = base;
	now.threads = threads;
	now.thread = LANES * random(cluster_warps);
	early = park != nullptr;
	leave_to(&main_sp);
	if (park) {
		park();
		early = false, may_stop = true;
		for (int w = 0; w < cluster_warps; w++) wake(w, held[w]);
		while (ready_warps) {
			now.thread = LANES * random(cluster_warps); // of none: leave_to takes one that is ready
			leave_to(&main_sp);
			if (stopped) stopped = false, park();
		}
		may_stop = false;
	}
	return cluster_alive == 0;
}

} // namespace sim
