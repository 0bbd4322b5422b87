// A libcuda that runs our kernels on the host: the driver API calls that package
// cuda makes, over fibers (thread.h). It checks what a driver would refuse and
// what a device would fault on: addresses outside of allocations in copies,
// memory freed twice, launches beyond limits, memory that is left at the end.
//
// Built by `go test` with any C++17 compiler for x86-64 Linux:
//
//	c++ -std=c++17 -O2 -shared -fPIC -ffp-contract=off -o libcuda.so driver.cc
//
// SULLAE_SIM_FAIL=CALL:N:CODE makes the Nth call of CALL fail with CODE, and, as
// on a device after a fault, every call after it; CALL may be kernel, the run of one.
// SULLAE_SIM_MEMORY is how many bytes the device has. SULLAE_SIM_SEED seeds the order,
// SULLAE_SIM_CC is the compute capability (90), SULLAE_SIM_REFUSE a target of PTX that
// the driver refuses (sm_90a); SULLAE_SIM_WGMMA=other has wgmma add in another order than
// mma.sync; with SULLAE_SIM_PLAIN_GRAPHS it refuses graphs of launches that
// may begin early; with SULLAE_SIM_UNAWAITED blocks that begin early do not wait. With
// SULLAE_SIM_PTX=1 the PTX itself runs (ptx.h), more slowly, instead of what the sources
// compiled for the host give.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "ptx.h"
#include "thread.h"

#include "../src/rows.cu"
#include "../src/matmul.cu"
#include "../src/quant.cu"
#include "../src/codes.cu"
#include "../src/attention.cu"
#include "../src/attend_mma.cu"
#include "../src/probes.cu"
#include "../src/wgmma.cu"

#include "fiber.h"
#include "async.h"

namespace sim {
static std::map<uint64_t, size_t> allocations;
static long freed; // how often memory was
} // namespace sim

#include "ptx_live.h"
#include "ptx_run.h"
#include "early.h"

namespace sim {

template <class... A, size_t... I>
static void call(void (*f)(A...), void **p, std::index_sequence<I...>) {
	f(*(A *)p[I]...);
}

template <class... A>
static void unpack(void (*f)(A...), void **p) {
	call(f, p, std::index_sequence_for<A...>{});
}

// A kernel. One without barriers and shuffles (plain) needs no fibers: its threads
// run one after the other.
struct entry {
	const char *name;
	void (*run)(void **);
	std::vector<size_t> sizes; // of its parameters
	int threads;
	bool plain;
	unsigned max_shared = 48 << 10; // bytes of dynamic shared memory
	int cluster = 1;                   // blocks
	bool waits = false;                // its PTX waits for the launches ahead
	std::shared_ptr<ptx::kernel> code; // null: run is of the host
};

template <class... A>
static std::vector<size_t> sizes(void (*)(A...)) {
	return {sizeof(A)...};
}

#define FIBERS(name, threads) \
	{#name, [](void **p) { unpack(::name, p); }, sizes(::name), threads, false}
#define PLAIN(name, threads) \
	{#name, [](void **p) { unpack(::name, p); }, sizes(::name), threads, true}

#define ALL_CODES(name) \
	FIBERS(matmul_codes_##name##_8, 128), FIBERS(matmul_codes_##name##_16, 128), FIBERS(matmul_codes_##name##_32, 256), FIBERS(matmul_codes_##name##_64, 256), \
	FIBERS(matmul_codes_##name##_tree, 256)

#define BOTH(name, threads) FIBERS(name##_1, threads), FIBERS(name##_8, threads)

static entry entries[] = {
	PLAIN(gather, 256), PLAIN(gather_coded, 256), FIBERS(pass_rows, 256), FIBERS(pass_long_rows, 1024), PLAIN(add, 256),
	PLAIN(add_bias, 256), PLAIN(scale, 256), PLAIN(soft_cap, 256), PLAIN(silu_mul, 256),
	PLAIN(gelu_mul, 256), FIBERS(exp_sums, 256),
	BOTH(matmul_f32, 128), BOTH(matmul_bf16, 128), BOTH(matmul_f16, 128), BOTH(matmul_i8, 128),
	BOTH(matmul_u4, 128), BOTH(matmul_f8, 128),
	FIBERS(matmul_mma_8, 128), FIBERS(matmul_mma_16, 128), FIBERS(matmul_mma_32, 128), FIBERS(matmul_mma_64, 128),
	FIBERS(matmul_mma_128, 256), BOTH(matmul_q8, 128), BOTH(matmul_q4, 128), FIBERS(matmul_q8_16, 128), FIBERS(matmul_q4_16, 128), FIBERS(matmul_q8_64, 256), FIBERS(matmul_q4_64, 256), PLAIN(fold, 256),
	ALL_CODES(u4), ALL_CODES(i8), ALL_CODES(f8),
	PLAIN(rope, 64), FIBERS(write_kv, 64), FIBERS(rope_write, 64), FIBERS(attend, 128), FIBERS(attend_mma, 128), FIBERS(attend_mma_f16, 128), PLAIN(attend_merge, 128),
	FIBERS(probe_mma, 256), PLAIN(probe_fma, 256), FIBERS(probe_mma_s8, 256), PLAIN(probe_nothing, 32),
	FIBERS(matmul_wgmma_128, 320), FIBERS(matmul_wgmma_192, 384), FIBERS(matmul_wgmma_tree, 384), FIBERS(probe_wgmma, 256),
};

static size_t allocated;
// total is how much memory the device has.
static size_t total() {
	static const char *s = getenv("SULLAE_SIM_MEMORY");
	return s ? strtoull(s, nullptr, 0) : 4ull << 30;
}
static int sticky;

enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_IMAGE = 200, NO_BINARY_FOR_GPU = 209, INVALID_PTX = 218, INVALID_HANDLE = 400, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719, NOT_SUPPORTED = 801, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901 };

} // namespace sim

#include "launch.h"

namespace sim {

struct graph;
typedef std::deque<entry> module;

// What was queued on a stream. It is done when it is waited for, or before, at
// random: memory of the host that changes while a copy from it is on its way, or a
// stream that should wait for another, gives other results.
struct work {
	long number;
	std::function<int()> run;     // or
	std::vector<launch> launches; // one, or a graph's
};
struct cuda_stream {
	graph *capturing = nullptr;
	bool broken = false;
	std::deque<work> queue;
};
struct event {
	cuda_stream *on = nullptr;
	long number = 0;
};
static std::vector<cuda_stream *> streams;
static long queued;

// drain does what is queued on a stream up to a number, and returns the first error.
static int drain(cuda_stream *s, long to = queued) {
	auto next = [&] { return !s->queue.empty() && s->queue.front().number <= to; };
	while (next()) {
		work w = std::move(s->queue.front());
		s->queue.pop_front();
		// Launches that may begin before those ahead are run together with them.
		while (!w.launches.empty() && next() && !s->queue.front().launches.empty() && s->queue.front().launches[0].dependent) {
			for (launch &l : s->queue.front().launches) w.launches.push_back(std::move(l));
			s->queue.pop_front();
		}
		if (sticky) continue;
		if (int e = w.run ? w.run() : run_launches(w.launches)) sticky = e;
	}
	return sticky;
}

static int drain_all() {
	for (cuda_stream *s : streams) drain(s);
	return sticky;
}

static int enqueue(void *on, std::function<int()> run, std::vector<launch> launches = {}) {
	((cuda_stream *)on)->queue.push_back({++queued, std::move(run), std::move(launches)});
	if (random(4) == 0) drain(streams[random(streams.size())], queued - random(3));
	return 0;
}

// A graph, while it is captured, and after.
struct graph {
	std::vector<launch> launches;
};
static thread_local cuda_stream *capturing; // by this thread
static long graphs_alive, events_alive;
static std::recursive_mutex lock;

// forbidden is that a call is not allowed during capture; it ends it.
static int forbidden() {
	if (!capturing) return 0;
	capturing->broken = true;
	return CAPTURE_UNSUPPORTED;
}

// fault is which call is to fail, and calls how often each has come. A kernel that runs is the
// call "kernel": the driver tells of it later, in whatever is called next.
static struct {
	std::string call;
	long nth, code;
} fault;
static std::map<std::string, long> calls;

// arm takes CALL:N:CODE; anything else is no fault.
static void arm(const char *spec) {
	fault = {}, calls.clear();
	std::string s = spec ? spec : "";
	size_t a = s.find(':'), b = s.rfind(':');
	if (a != std::string::npos && b > a) fault = {s.substr(0, a), atol(s.c_str() + a + 1), atol(s.c_str() + b + 1)};
}

// mine reports whether the fault is this process's: of several with one SULLAE_SIM_ONCE, a
// file that is not there yet, the first to come to it has it.
static bool mine() {
	const char *once = getenv("SULLAE_SIM_ONCE");
	if (!once) return true;
	FILE *f = fopen(once, "wx");
	return f && fclose(f) == 0;
}

// enter counts a call and says whether it is to fail.
static int enter(const char *call) {
	static bool began;
	if (!began) {
		began = true;
		arm(getenv("SULLAE_SIM_FAIL"));
		if (const char *seed = getenv("SULLAE_SIM_SEED")) rng ^= strtoull(seed, nullptr, 0) * 0x2545f4914f6cdd1dull;
	}
	if (sticky) return sticky;
	if (++calls[call] == fault.nth && fault.call == call && mine()) {
		if (fault.code != OUT_OF_MEMORY && fault.code != NOT_SUPPORTED) sticky = (int)fault.code; // a device that faulted stays so
		return (int)fault.code;
	}
	return 0;
}

static bool inside(uint64_t p, size_t n) {
	auto it = allocations.upper_bound(p);
	if (it == allocations.begin()) return false;
	--it;
	return p >= it->first && p + n <= it->first + it->second;
}

} // namespace sim

using namespace sim;

#define API extern "C" __attribute__((visibility("default"))) int
// A driver may be called from several threads.
#define LOCK std::lock_guard<std::recursive_mutex> held(lock)
#define ENTER(name) \
	LOCK;           \
	if (int e = enter(name)) return e

API cuInit(unsigned) { ENTER("cuInit"); return 0; }
API cuDriverGetVersion(int *v) {
	*v = 13000;
	if (const char *s = getenv("SULLAE_SIM_DRIVER")) *v = atoi(s);
	return 0;
}
API cuDeviceGetCount(int *n) {
	*n = 1;
	if (const char *s = getenv("SULLAE_SIM_DEVICES")) *n = atoi(s);
	return 0;
}
API cuDeviceGet(int *d, int i) { *d = i; return 0; }
API cuDeviceGetName(char *s, int n, int) { snprintf(s, n, "simulated device"); return 0; }
API cuDeviceGetUuid_v2(void *u, int) { memcpy(u, "simulated device", 16); return 0; }
API cuDeviceTotalMem_v2(size_t *n, int) { *n = total(); return 0; }
static int capability() {
	const char *s = getenv("SULLAE_SIM_CC");
	return s ? atoi(s) : 90;
}
API cuDeviceGetAttribute(int *v, int a, int) {
	switch (a) {
	case 16: *v = 4; break; // multiprocessors
	case 75: *v = capability() / 10; break;
	case 76: *v = capability() % 10; break;
	default: *v = 0;
	}
	return 0;
}
API cuDevicePrimaryCtxRetain(void **c, int) { ENTER("cuDevicePrimaryCtxRetain"); *c = (void *)1; return 0; }
API cuDevicePrimaryCtxRelease_v2(int) { return 0; }
API cuCtxSetCurrent(void *) { return 0; }
API cuModuleLoadDataEx(void **m, const void *image, unsigned options, int *option, void **value) {
	ENTER("cuModuleLoadDataEx");
	const char *text = (const char *)image, *target = strstr(text, "\n.target ");
	if (strncmp(text, "//", 2) != 0 || !target) return INVALID_IMAGE;
	std::string sm(target + 9, strcspn(target + 9, "\n"));
	const char *refused = getenv("SULLAE_SIM_REFUSE");
	if (refused && sm == refused) {
		for (unsigned i = 0; i < options; i++)
			if (option[i] == 5) strcpy((char *)value[i], ("ptxas fatal: no " + sm + " here").c_str());
		return INVALID_PTX;
	}
	// Code with an a is for one capability alone.
	if (sm.back() == 'a' ? capability() != atoi(sm.c_str() + 3) : capability() < atoi(sm.c_str() + 3)) return NO_BINARY_FOR_GPU;
	auto made = std::make_unique<module>();
	try {
		for (ptx::kernel &k : ptx::parse(text)) {
			entry e = {nullptr, ptx::run, {}, k.threads, !k.together};
			e.waits = k.awaits, e.cluster = k.cluster;
			for (const ptx::parameter &p : k.parameters) e.sizes.push_back(p.size);
			e.code = std::make_shared<ptx::kernel>(std::move(k));
			e.name = e.code->name.c_str();
			made->push_back(e);
		}
	} catch (const ptx::fault &f) {
		for (unsigned i = 0; i < options; i++)
			if (option[i] == 5) snprintf((char *)value[i], 1024, "ptxas: %s", f.what());
		return INVALID_PTX;
	}
	*m = made.release();
	return 0;
}
API cuModuleUnload(void *m) { delete (module *)m; return 0; }
API cuModuleGetFunction(void **f, void *m, const char *name) {
	auto is = [&](const entry &e) { return strcmp(e.name, name) == 0; };
	// The PTX must have it too: a simulator that knows more than the device would hide a mistake.
	auto in = std::find_if(((module *)m)->begin(), ((module *)m)->end(), is);
	if (in == ((module *)m)->end()) return NOT_FOUND;
	*f = &*in;
	if (getenv("SULLAE_SIM_PTX")) return 0;
	auto host = std::find_if(std::begin(entries), std::end(entries), is);
	if (host == std::end(entries) || host->sizes != in->sizes || host->threads != in->threads) return INVALID_HANDLE;
	host->waits = in->waits, host->cluster = in->cluster;
	*f = host;
	return 0;
}
API cuFuncGetAttribute(int *v, int a, void *f) {
	const entry *e = (const entry *)f;
	*v = a == 0 ? e->threads : a == 4 && e->code ? ptx::registers_alive(*e->code) : 0;
	return 0;
}
API cuFuncSetAttribute(void *f, int a, int v) {
	ENTER("cuFuncSetAttribute");
	if (a != 8 || v < 0 || v > MAX_SHARED) return INVALID_VALUE;
	((entry *)f)->max_shared = v;
	return 0;
}
API cuMemGetInfo_v2(size_t *free_, size_t *total) {
	LOCK;
	*free_ = sim::total() - allocated;
	*total = sim::total();
	return 0;
}
API cuMemAlloc_v2(uint64_t *p, size_t n) {
	ENTER("cuMemAlloc");
	if (int e = forbidden()) return e;
	if (n == 0) return INVALID_VALUE;
	if (allocated + n > total()) return OUT_OF_MEMORY;
	// Memory ends where a page begins that may not be touched.
	size_t size = (n + 4095) / 4096 * 4096;
	char *m = (char *)mmap(nullptr, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED) return OUT_OF_MEMORY;
	mprotect(m + size, 4096, PROT_NONE);
	m += size - (n + 15) / 16 * 16;
	memset(m, 0xff, n); // NaN: what was not written must not be used
	*p = (uint64_t)m;
	allocations[*p] = n;
	allocated += n;
	return 0;
}
API cuMemFree_v2(uint64_t p) {
	LOCK;
	if (int e = forbidden()) return e;
	drain_all(); // as a driver does
	auto it = allocations.find(p);
	if (it == allocations.end()) return INVALID_VALUE;
	allocated -= it->second;
	munmap((void *)(p & ~4095ull), (it->second + 4095) / 4096 * 4096 + 4096);
	allocations.erase(it);
	freed++;
	return 0;
}
API cuMemHostAlloc(void **p, size_t n, unsigned) {
	ENTER("cuMemHostAlloc");
	*p = malloc(n);
	return *p ? 0 : OUT_OF_MEMORY;
}
API cuMemFreeHost(void *p) {
	LOCK;
	drain_all();
	free(p);
	return 0;
}
API cuMemcpyHtoDAsync_v2(uint64_t dst, const void *src, size_t n, void *on) {
	ENTER("cuMemcpyHtoDAsync");
	if (int e = forbidden()) return e;
	if (!inside(dst, n)) return INVALID_VALUE;
	return enqueue(on, [=] { memcpy((void *)dst, src, n); return 0; });
}
API cuMemcpyDtoHAsync_v2(void *dst, uint64_t src, size_t n, void *on) {
	ENTER("cuMemcpyDtoHAsync");
	if (int e = forbidden()) return e;
	if (!inside(src, n)) return INVALID_VALUE;
	return enqueue(on, [=] { memcpy(dst, (void *)src, n); return 0; });
}
API cuMemsetD8Async(uint64_t dst, unsigned char v, size_t n, void *on) {
	ENTER("cuMemsetD8Async");
	if (int e = forbidden()) return e;
	if (!inside(dst, n)) return INVALID_VALUE;
	return enqueue(on, [=] { memset((void *)dst, v, n); return 0; });
}
API cuStreamCreate(void **s, unsigned) {
	LOCK;
	streams.push_back(new cuda_stream);
	*s = streams.back();
	return 0;
}
API cuStreamDestroy_v2(void *s) {
	LOCK;
	drain_all();
	streams.erase(std::find(streams.begin(), streams.end(), s));
	delete (cuda_stream *)s;
	return 0;
}
API cuStreamSynchronize(void *s) {
	ENTER("cuStreamSynchronize");
	if (int e = forbidden()) return e;
	return drain((cuda_stream *)s);
}
API cuStreamWaitEvent(void *s, void *e, unsigned) {
	ENTER("cuStreamWaitEvent");
	if (int f = forbidden()) return f;
	event at = *(event *)e;
	if (!at.on) return 0;
	return enqueue(s, [=] { return drain(at.on, at.number); });
}
API cuEventCreate(void **e, unsigned) {
	ENTER("cuEventCreate");
	events_alive++;
	*e = new event;
	return 0;
}
API cuEventDestroy_v2(void *e) {
	LOCK;
	events_alive--;
	delete (event *)e;
	return 0;
}
API cuEventRecord(void *e, void *s) {
	ENTER("cuEventRecord");
	if (int f = forbidden()) return f;
	*(event *)e = {(cuda_stream *)s, queued};
	return 0;
}
API cuEventSynchronize(void *e) {
	ENTER("cuEventSynchronize");
	if (int f = forbidden()) return f;
	event at = *(event *)e;
	return at.on ? drain(at.on, at.number) : 0;
}
API cuMemcpyDtoDAsync_v2(uint64_t dst, uint64_t src, size_t n, void *on) {
	ENTER("cuMemcpyDtoDAsync");
	if (int e = forbidden()) return e;
	if (!inside(dst, n) || !inside(src, n)) return INVALID_VALUE;
	return enqueue(on, [=] { memmove((void *)dst, (void *)src, n); return 0; });
}
static int launch_on(void *on, const void *f, const unsigned grid[3], const unsigned block[3], unsigned shared, void **params, bool dependent) {
	const entry *e = (const entry *)f;
	if (!e) return INVALID_HANDLE;
	if (shared > e->max_shared || grid[0] % e->cluster != 0) return INVALID_VALUE;
	if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0 || grid[1] > 65535 || grid[2] > 65535 || block[1] != 1 || block[2] != 1 || (int)block[0] != e->threads) return INVALID_VALUE;
	launch l = {e, {grid[0], grid[1], grid[2]}, shared, {}, dependent};
	for (size_t i = 0; i < e->sizes.size(); i++) l.values.emplace_back((char *)params[i], (char *)params[i] + e->sizes[i]);
	if (graph *g = ((cuda_stream *)on)->capturing) {
		g->launches.push_back(std::move(l));
		return 0;
	}
	std::vector<launch> one;
	one.push_back(std::move(l));
	return enqueue(on, nullptr, std::move(one));
}
API cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *on, void **params, void **) {
	ENTER("cuLaunchKernel");
	unsigned grid[] = {gx, gy, gz}, block[] = {bx, by, bz};
	return launch_on(on, f, grid, block, shared, params, false);
}

// As cuda.h has them.
union launch_value {
	char pad[64];
	int programmatic_stream_serialization_allowed;
	void *aligned;
};
struct launch_attribute {
	int id;
	char pad[8 - sizeof(int)];
	launch_value value;
};
struct launch_config {
	unsigned grid[3], block[3], shared;
	void *stream;
	launch_attribute *attributes;
	unsigned n;
};
API cuLaunchKernelEx(const launch_config *c, void *f, void **params, void **) {
	ENTER("cuLaunchKernelEx");
	bool dependent = false;
	for (unsigned i = 0; i < c->n; i++) {
		if (c->attributes[i].id != 6) return INVALID_VALUE;
		dependent = c->attributes[i].value.programmatic_stream_serialization_allowed != 0;
	}
	if (dependent && (capability() < 90 || !((const entry *)f)->waits)) return NOT_SUPPORTED; // a device would take it, and compute what is wrong
	return launch_on(c->stream, f, c->grid, c->block, c->shared, params, dependent);
}
API cuStreamBeginCapture_v2(void *on, int) {
	ENTER("cuStreamBeginCapture");
	cuda_stream *s = (cuda_stream *)on;
	if (s->capturing) return INVALID_VALUE;
	s->capturing = new graph, s->broken = false;
	capturing = s;
	return 0;
}
API cuStreamEndCapture(void *on, void **g) {
	LOCK;
	cuda_stream *s = (cuda_stream *)on;
	graph *made = s->capturing;
	s->capturing = nullptr, capturing = nullptr;
	if (!made) return INVALID_VALUE;
	int e = enter("cuStreamEndCapture");
	if (!e && s->broken) e = CAPTURE_INVALIDATED;
	if (e) {
		delete made;
		*g = nullptr;
		return e;
	}
	graphs_alive++;
	*g = made;
	return 0;
}
API cuGraphInstantiateWithFlags(void **exec, void *g, unsigned long long) {
	ENTER("cuGraphInstantiateWithFlags");
	if (getenv("SULLAE_SIM_PLAIN_GRAPHS"))
		for (const launch &l : ((graph *)g)->launches)
			if (l.dependent) return NOT_SUPPORTED;
	graphs_alive++;
	*exec = new graph(*(graph *)g);
	return 0;
}
API cuGraphLaunch(void *exec, void *on) {
	ENTER("cuGraphLaunch");
	if (int e = forbidden()) return e;
	return enqueue(on, nullptr, ((graph *)exec)->launches);
}
API cuGraphDestroy(void *g) {
	LOCK;
	graphs_alive--;
	delete (graph *)g;
	return 0;
}
API cuGraphExecDestroy(void *g) {
	LOCK;
	graphs_alive--;
	delete (graph *)g;
	return 0;
}
API cuGetErrorName(int code, const char **s) {
	switch (code) {
	case 1: *s = "CUDA_ERROR_INVALID_VALUE"; break;
	case 2: *s = "CUDA_ERROR_OUT_OF_MEMORY"; break;
	case 100: *s = "CUDA_ERROR_NO_DEVICE"; break;
	case 214: *s = "CUDA_ERROR_ECC_UNCORRECTABLE"; break;
	case 209: *s = "CUDA_ERROR_NO_BINARY_FOR_GPU"; break;
	case 218: *s = "CUDA_ERROR_INVALID_PTX"; break;
	case 500: *s = "CUDA_ERROR_NOT_FOUND"; break;
	case 700: *s = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
	case 719: *s = "CUDA_ERROR_LAUNCH_FAILED"; break;
	case 801: *s = "CUDA_ERROR_NOT_SUPPORTED"; break;
	case 900: *s = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; break;
	case 901: *s = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"; break;
	default: *s = "CUDA_ERROR_UNKNOWN";
	}
	return 0;
}
// sim_left tells tests what is left: bytes of memory, graphs and events.
extern "C" __attribute__((visibility("default"))) uint64_t sim_left() { return allocated + graphs_alive + events_alive; }
// sim_fail repairs the device and makes another call fail, as SULLAE_SIM_FAIL does;
// sim_calls is how often a call has come since.
extern "C" __attribute__((visibility("default"))) void sim_fail(const char *spec) {
	LOCK;
	enter("");
	sticky = 0;
	arm(spec);
}
extern "C" __attribute__((visibility("default"))) long sim_calls(const char *call) {
	LOCK;
	return calls[call];
}
// sim_begun_early is how many blocks have begun before what was ahead of their launch.
extern "C" __attribute__((visibility("default"))) uint64_t sim_begun_early() { return begun_early; }
