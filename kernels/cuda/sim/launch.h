// Launches: the blocks of a grid, one after the other in random order.
#pragma once

namespace sim {

// A launch with its parameters copied, as a driver does. One that is dependent may begin
// before those ahead of it are done.
struct launch {
	const entry *e;
	unsigned grid[3];
	unsigned shared; // bytes
	std::vector<std::vector<char>> values;
	bool dependent;
};

// running_launch is a launch and where its parameters are.
struct running_launch {
	const launch *l;
	std::vector<void *> at;
	long blocks; // or clusters
	helper *early = nullptr; // runs one of its blocks
	long early_block = -1;

	explicit running_launch(const launch &of) : l(&of), blocks((long)of.grid[0] * of.grid[1] * of.grid[2] / of.e->cluster) {
		for (const auto &v : of.values) at.push_back((void *)v.data());
	}

	// set makes a block what is to be run next.
	void set(long b) {
		const unsigned *g = l->grid;
		b *= l->e->cluster;
		body = l->e->run, arguments = at.data(), shared_bytes = l->shared, running = l->e->name;
		if (l->e->code) shared_bytes = ptx::begin(*l->e->code, l->shared);
		base.block[0] = b % g[0], base.block[1] = b / g[0] % g[1], base.block[2] = b / g[0] / g[1];
		for (int i = 0; i < 3; i++) base.blocks[i] = g[i];
		for (int i = 0; i < l->e->cluster; i++) memset(shared_memory[i], 0xff, shared_bytes); // NaN: what was not written must not be used
	}

	bool may_begin() const { return l->dependent && !early && l->e->cluster == 1; }

	void begin_early(helper *h) {
		early = h, early_block = random((uint32_t)(blocks < 1 << 30 ? blocks : 1 << 30));
		h->begin(l->e->threads, [this] { set(early_block); });
	}

	bool end_early() {
		bool ok = early->finish();
		early = nullptr;
		return ok;
	}

	bool run(long b) {
		if (b == early_block) {
			early->turn();
			return !early->ended || end_early(); // else it stopped: at the end
		}
		set(b);
		if (l->e->plain) {
			run_plain(l->e->threads);
			return true;
		}
		if (l->shared) begin_async();
		bool ok = run_blocks(l->e->threads, l->e->cluster);
		if (ok) ended_async();
		return ok;
	}
};

static int enter(const char *call);

// run_launches runs launches in order. Of up to three that may, a block each begins before,
// while one ahead runs.
static int run_launches(const std::vector<launch> &list) {
	static helper *helpers[4];
	std::vector<running_launch> all(list.begin(), list.end());
	int failed = 0;
	for (size_t i = 0; i < all.size(); i++) {
		running_launch &r = all[i];
		if (!failed) failed = enter("kernel");
		long first = random((uint32_t)(r.blocks < 1 << 30 ? r.blocks : 1 << 30)), when = random(2) ? 0 : random((uint32_t)(r.blocks < 1 << 30 ? r.blocks : 1 << 30));
		for (long at = 0; at < r.blocks && !failed; at++) {
			for (size_t j = i + 1; at == when && j < all.size() && j <= i + 3 && all[j].l->dependent; j++) {
				helper *&h = helpers[j % 4];
				if (!all[j].may_begin() || random(2)) continue;
				if (!h) h = new helper;
				all[j].begin_early(h);
			}
			long b = (first + at) % r.blocks;
			if (r.run(b)) continue;
			fprintf(stderr, "sim: %s: block %ld of grid (%u, %u, %u) waits for ever at a barrier\n", r.l->e->name, b, r.l->grid[0], r.l->grid[1], r.l->grid[2]);
			failed = LAUNCH_FAILED;
		}
		if (r.early && !r.end_early() && !failed) failed = LAUNCH_FAILED;
	}
	return failed;
}

} // namespace sim
