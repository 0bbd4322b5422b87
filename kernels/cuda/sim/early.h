// Blocks that begin before the launches ahead of theirs are done, as programmatic dependent
// launch allows: each runs on a thread of the host of its own, up to where it waits for
// what is ahead, and is resumed when its launch comes. So a kernel that reads too early
// what a launch ahead writes finds what was there before. One thread runs at a time.
#pragma once

namespace sim {

// context is all that a block is (one that is no cluster's), but for static shared memory, which is its thread's, and
// `now`'s place among its fibers.
struct context {
	fiber *fibers = new fiber[MAX_THREADS];
	warp *warps = new warp[MAX_THREADS / LANES];
	uint32_t ready[MAX_THREADS / LANES], awaited[MAX_THREADS / LANES], held[MAX_THREADS / LANES];
	uint32_t ready_warps = 0;
	char *stacks = nullptr;
	void *main_sp = nullptr;
	int block_arrived = 0, block_alive = 0, block_warps = 0, cluster_arrived = 0, cluster_alive = 0, cluster_warps = 0;
	void (*body)(void **) = nullptr;
	void **arguments = nullptr;
	const char *running = nullptr;
	uint8_t *shared_memory = nullptr;
	unsigned shared_bytes = 0;
	state base = {}, now = {};
	bool in_fiber = false, early = false;
	std::unique_ptr<ptx::block> code = std::make_unique<ptx::block>();

	// exchange swaps it with what is current.
	void exchange() {
		using std::swap;
		swap(fibers, sim::fibers), swap(warps, sim::warps), swap(ready, sim::ready), swap(awaited, sim::awaited), swap(held, sim::held);
		swap(ready_warps, sim::ready_warps), swap(stacks, sim::stacks), swap(main_sp, sim::main_sp);
		swap(block_arrived, sim::block_arrived[0]), swap(block_alive, sim::block_alive[0]), swap(block_warps, sim::block_warps);
		swap(cluster_arrived, sim::cluster_arrived), swap(cluster_alive, sim::cluster_alive), swap(cluster_warps, sim::cluster_warps);
		swap(body, sim::body), swap(arguments, sim::arguments), swap(running, sim::running);
		swap(shared_memory, sim::shared_memory[0]), swap(shared_bytes, sim::shared_bytes);
		swap(base, sim::base), swap(now, sim::now), swap(in_fiber, sim::in_fiber), swap(early, sim::early);
		swap(code, ptx::now);
	}
};

static long begun_early; // blocks

// helper is a thread for one early block at a time.
struct helper {
	context own;
	sem_t go, done;
	bool ok = false, ended = false;
	int threads = 0;
	std::function<void()> set; // makes the block's launch current

	helper() {
		own.shared_memory = (uint8_t *)aligned_alloc(1024, MAX_SHARED);
		sem_init(&go, 0, 0), sem_init(&done, 0, 0);
		pthread_t t;
		pthread_create(&t, nullptr, [](void *me) -> void * {
			for (;;) ((helper *)me)->serve();
		}, this);
		pthread_detach(t);
	}

	static helper *&mine() {
		static thread_local helper *h;
		return h;
	}

	void serve() {
		sem_wait(&go);
		mine() = this;
		own.exchange();
		set();
		ok = run_blocks(threads, 1, [] {
			helper *h = mine();
			h->own.exchange();
			sem_post(&h->done);
			sem_wait(&h->go);
			h->own.exchange();
		});
		own.exchange();
		ended = true;
		sem_post(&done);
	}

	// turn lets it run, to where its block waits or to the end.
	void turn() {
		sem_post(&go);
		while (sem_wait(&done) != 0) {}
	}

	// begin runs a block to where it waits.
	void begin(int block_threads, std::function<void()> set_launch) {
		begun_early++, ended = false, threads = block_threads, set = std::move(set_launch);
		turn();
	}

	// finish runs the rest; false where its fibers wait for ever.
	bool finish() {
		while (!ended) turn();
		return ok;
	}
};

} // namespace sim
