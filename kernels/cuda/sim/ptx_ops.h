// What each instruction does. An entry's signature has, for each operand, one letter:
//
//	p predicate   h w d integers or bits of 16, 32, 64   f g float32, float64
//	H W D bits of any register of 16, 32, 64             i an integer register that may be wider
//	n a number    l a label    _ itself                  m s a q [address] in global, shared,
//	                                                     parameter memory, generic
//
// = marks what is written, {} a vector. Other letters are not types.
#pragma once

#include <math.h>

#include <cmath>
#include <limits>

#include "async.h"
#include "ptx.h"

namespace ptx {

struct definition {
	std::string signature;
	action run;
	bool together; // all lanes of the warp, or all threads of the block, come together
};

typedef std::map<std::string, definition> table;

// set defines NAME.TYPE; @ in the signature stands for the type's letter, # for that of the
// type twice as wide.
__attribute__((noinline)) static void set(table &t, const char *name, const char *type, const char *signature, action run, char letter = 0, char wide = 0, bool together = false) {
	std::string full = name, s;
	if (*type) full += *name ? "." : "", full += type;
	for (; *signature; signature++) s += *signature == '@' ? letter : *signature == '#' ? wide : *signature;
	t[full] = {s, run, together};
}

template <class T>
T get(const context &c, const instruction &i, int n) {
	T v;
	memcpy(&v, &c.r[i.operand[n]], sizeof v);
	return v;
}

template <class T>
void put(context &c, const instruction &i, int n, T v) {
	uint64_t all = 0;
	memcpy(&all, &v, sizeof v);
	c.r[i.operand[n]] = all;
}

// put_wide extends an integer to the register that it is written to.
template <class T>
void put_wide(context &c, const instruction &i, int n, T v) {
	int64_t all = (int64_t)v; // of unsigned types the upper bits are 0
	switch (size_of(i.classes[n])) {
	case 2: c.r[i.operand[n]] = (uint16_t)all; break;
	case 4: c.r[i.operand[n]] = (uint32_t)all; break;
	default: c.r[i.operand[n]] = (uint64_t)all;
	}
}

[[noreturn]] inline void die(const context &c, const instruction &i, const std::string &what) {
	fprintf(stderr, "sim: %s, line %d of its PTX, block (%d, %d, %d), thread %d: %s\n", c.k->name.c_str(), i.line, ::block_x(), ::block_y(),
		::block_z(), ::thread(), what.c_str());
	abort();
}

bool in_global(uint64_t at, size_t bytes);
void meet(const context &, const instruction &); // all lanes must be at this instruction

// Of ptx_race.h: an access of shared memory, and what orders accesses.
void touch(const context &, const instruction &, uint32_t at, int bytes, bool write);
void begin_copy(const context &, const instruction &, uint32_t at, int bytes);
void end_group();
void end_copies(int groups);
void passed_barrier(bool of_block);

// SHARED_WINDOW is where shared memory lies among generic addresses.
constexpr uint64_t SHARED_WINDOW = 1ull << 62;

[[noreturn]] inline void misaligned(const context &c, const instruction &i, uint64_t to, int bytes) {
	die(c, i, text("an access of %d bytes at the address %#lx, which is not aligned to it", bytes, (long)to));
}

// shared_memory is the running block's.
inline char *shared_memory() { return (char *)sim::shared_memory[sim::cluster_rank()]; }

inline char *at_shared(const context &c, const instruction &i, uint64_t to, int bytes) {
	if (to % bytes != 0) misaligned(c, i, to, bytes);
	if (to + bytes > sim::shared_bytes) die(c, i, text("%u bytes of shared memory, accessed at %ld", sim::shared_bytes, (long)to));
	return shared_memory() + to;
}

// at is where an address operand points to on the host.
template <char SPACE>
char *at(const context &c, const instruction &i, int n, int bytes) {
	if (SPACE == 'a') return (char *)c.parameters[i.operand[n]] + i.offset;
	uint64_t to = c.r[i.operand[n]] + i.offset;
	if (SPACE == 'q' && to >= SHARED_WINDOW) return at_shared(c, i, to - SHARED_WINDOW, bytes);
	if (SPACE == 's') return at_shared(c, i, (uint32_t)to, bytes);
	if (to % bytes != 0) misaligned(c, i, to, bytes);
	if (!in_global(to, bytes)) die(c, i, text("no memory at %#lx", (long)to));
	return (char *)to;
}

template <char SPACE>
void touch_if_shared(const context &c, const instruction &i, const char *p, int bytes, bool write) {
	if (SPACE != 's' && (SPACE != 'q' || p < shared_memory() || p >= shared_memory() + sim::shared_bytes)) return;
	touch(c, i, p - shared_memory(), bytes, write);
}

template <class T, char SPACE, int N>
void load(context &c, const instruction &i) {
	const char *from = at<SPACE>(c, i, N, sizeof(T) * N);
	touch_if_shared<SPACE>(c, i, from, sizeof(T) * N, false);
	T v[N];
	memcpy(v, from, sizeof v);
	for (int j = 0; j < N; j++) put_wide<T>(c, i, j, v[j]);
}

template <class T, char SPACE, int N>
void store(context &c, const instruction &i) {
	T v[N];
	for (int j = 0; j < N; j++) v[j] = get<T>(c, i, 1 + j);
	char *to = at<SPACE>(c, i, 0, sizeof v);
	touch_if_shared<SPACE>(c, i, to, sizeof v, true);
	memcpy(to, v, sizeof v);
}

template <class T, char SPACE>
void memory(table &t, const std::string &space, const char *name, char letter) {
	const std::string ld = "ld" + space, st = "st" + space, m(1, SPACE);
	set(t, ld.c_str(), name, ("=@ " + m).c_str(), load<T, SPACE, 1>, letter);
	if (SPACE == 'a') return;
	set(t, (ld + ".v2").c_str(), name, ("={@@} " + m).c_str(), load<T, SPACE, 2>, letter);
	set(t, (ld + ".v4").c_str(), name, ("={@@@@} " + m).c_str(), load<T, SPACE, 4>, letter);
	set(t, st.c_str(), name, (m + " @").c_str(), store<T, SPACE, 1>, letter);
	set(t, (st + ".v2").c_str(), name, (m + " {@@}").c_str(), store<T, SPACE, 2>, letter);
	set(t, (st + ".v4").c_str(), name, (m + " {@@@@}").c_str(), store<T, SPACE, 4>, letter);
}

template <char SPACE>
void memories(table &t, const std::string &space) {
	memory<uint8_t, SPACE>(t, space, "u8", 'i');
	memory<int8_t, SPACE>(t, space, "s8", 'i');
	memory<uint16_t, SPACE>(t, space, "u16", 'i');
	memory<int16_t, SPACE>(t, space, "s16", 'i');
	memory<uint32_t, SPACE>(t, space, "u32", 'i');
	memory<int32_t, SPACE>(t, space, "s32", 'i');
	memory<uint64_t, SPACE>(t, space, "u64", 'i');
	memory<int64_t, SPACE>(t, space, "s64", 'i');
	memory<uint8_t, SPACE>(t, space, "b8", 'i');
	memory<uint16_t, SPACE>(t, space, "b16", 'H');
	memory<uint32_t, SPACE>(t, space, "b32", 'W');
	memory<uint64_t, SPACE>(t, space, "b64", 'D');
	memory<uint32_t, SPACE>(t, space, "f32", 'f');
	memory<uint64_t, SPACE>(t, space, "f64", 'g');
}

#define ACTION [](context & c, const instruction &i)
#define BINARY(name, expression)                     \
	set(t, name, type, "=@ @ @", ACTION {            \
		T a = get<T>(c, i, 1), b = get<T>(c, i, 2);  \
		put<T>(c, i, 0, (T)(expression));            \
	}, l)
#define UNARY(name, expression)           \
	set(t, name, type, "=@ @", ACTION {   \
		T a = get<T>(c, i, 1);            \
		put<T>(c, i, 0, (T)(expression)); \
	}, l)
#define COMPARE(name, expression)                      \
	set(t, "setp." name, type, "=p @ @", ACTION {      \
		T a = get<T>(c, i, 1), b = get<T>(c, i, 2);    \
		put<uint8_t>(c, i, 0, (expression) ? 1 : 0);   \
	}, l)

template <class T>
void compares(table &t, const char *type, char l) {
	COMPARE("eq", a == b);
	COMPARE("ne", a < b || a > b); // false where either is NaN
	COMPARE("lt", a < b);
	COMPARE("le", a <= b);
	COMPARE("gt", a > b);
	COMPARE("ge", a >= b);
}

template <class T>
void select(table &t, const char *type, char l) {
	set(t, "selp", type, "=@ @ @ p", ACTION { put<T>(c, i, 0, get<uint8_t>(c, i, 3) ? get<T>(c, i, 1) : get<T>(c, i, 2)); }, l);
}

// Integers of type T; W is twice as wide, U unsigned.
template <class T, class W, class U>
void integers(table &t, const char *type, char l, char wide) {
	BINARY("add", (U)a + (U)b);
	BINARY("sub", (U)a - (U)b);
	BINARY("min", a < b ? a : b);
	BINARY("max", a > b ? a : b);
	BINARY("mul.lo", (U)((W)a * (W)b));
	BINARY("mul.hi", ((W)a * (W)b) >> 8 * sizeof(T));
	BINARY("div", b == 0 ? -1 : (W)a / (W)b);
	BINARY("rem", b == 0 ? a : (W)a % (W)b);
	UNARY("neg", 0 - (U)a);
	UNARY("abs", a < 0 ? 0 - (U)a : (U)a);
	set(t, "shr", type, "=@ @ w", ACTION {
		uint32_t n = get<uint32_t>(c, i, 2), most = 8 * sizeof(T);
		T a = get<T>(c, i, 1);
		put<T>(c, i, 0, n < most ? a >> n : (T)-1 < 0 && a < 0 ? -1 : 0);
	}, l);
	set(t, "mad.lo", type, "=@ @ @ @", ACTION { put<T>(c, i, 0, (T)((W)get<T>(c, i, 1) * (W)get<T>(c, i, 2) + (W)get<T>(c, i, 3))); }, l);
	UNARY("mov", a);
	compares<T>(t, type, l);
	select<T>(t, type, l);
	if (sizeof(W) <= 8) {
		set(t, "mul.wide", type, "=# @ @", ACTION { put<W>(c, i, 0, (W)get<T>(c, i, 1) * (W)get<T>(c, i, 2)); }, l, wide);
		set(t, "mad.wide", type, "=# @ @ #", ACTION { put<W>(c, i, 0, (W)get<T>(c, i, 1) * (W)get<T>(c, i, 2) + get<W>(c, i, 3)); }, l, wide);
	}
}

template <class T>
void patterns(table &t, const char *type, char l) {
	BINARY("and", a & b);
	BINARY("or", a | b);
	BINARY("xor", a ^ b);
	UNARY("not", ~a);
	UNARY("mov", a);
	COMPARE("eq", a == b);
	COMPARE("ne", a != b);
	select<T>(t, type, l);
	set(t, "shl", type, "=@ @ w", ACTION {
		uint32_t n = get<uint32_t>(c, i, 2);
		put<T>(c, i, 0, n < 8 * sizeof(T) ? get<T>(c, i, 1) << n : 0);
	}, l);
	set(t, "shr", type, "=@ @ w", ACTION {
		uint32_t n = get<uint32_t>(c, i, 2);
		put<T>(c, i, 0, n < 8 * sizeof(T) ? get<T>(c, i, 1) >> n : 0);
	}, l);
}

template <class T>
void floats(table &t, const char *type, char l) {
	BINARY("add.rn", a + b);
	BINARY("sub.rn", a - b);
	BINARY("mul.rn", a * b);
	BINARY("div.rn", a / b);
	BINARY("min", isnan(a) ? b : isnan(b) ? a : a < b ? a : b);
	BINARY("max", isnan(a) ? b : isnan(b) ? a : a > b ? a : b);
	UNARY("neg", -a);
	UNARY("abs", a < 0 || (a == 0 && signbit(a)) ? -a : a);
	UNARY("rcp.rn", 1 / a);
	UNARY("sqrt.rn", sqrt(a));
	UNARY("mov", a);
	set(t, "fma.rn", type, "=@ @ @ @", ACTION { put<T>(c, i, 0, std::fma(get<T>(c, i, 1), get<T>(c, i, 2), get<T>(c, i, 3))); }, l);
	compares<T>(t, type, l);
	COMPARE("equ", !(a < b || a > b));
	COMPARE("neu", !(a == b));
	COMPARE("ltu", !(a >= b));
	COMPARE("leu", !(a > b));
	COMPARE("gtu", !(a <= b));
	COMPARE("geu", !(a < b));
	COMPARE("num", !isnan(a) && !isnan(b));
	COMPARE("nan", isnan(a) || isnan(b));
	select<T>(t, type, l);
}

// converts has conversions to D from integers, which wrap around.
template <class D, class S>
void convert(table &t, const char *to, const char *from) {
	set(t, (std::string("cvt.") + to).c_str(), from, "=i i", ACTION { put_wide<D>(c, i, 0, (D)get<S>(c, i, 1)); });
}

template <class D>
void converts(table &t, const char *to) {
	convert<D, uint8_t>(t, to, "u8");
	convert<D, int8_t>(t, to, "s8");
	convert<D, uint16_t>(t, to, "u16");
	convert<D, int16_t>(t, to, "s16");
	convert<D, uint32_t>(t, to, "u32");
	convert<D, int32_t>(t, to, "s32");
	convert<D, uint64_t>(t, to, "u64");
	convert<D, int64_t>(t, to, "s64");
	// From floats, towards zero, held to the type's range; NaN is 0.
	set(t, (std::string("cvt.rzi.") + to).c_str(), "f32", "=i f", ACTION {
		double v = trunc((double)get<float>(c, i, 1)), low = (double)std::numeric_limits<D>::min(), top = (double)std::numeric_limits<D>::max();
		put_wide<D>(c, i, 0, isnan(v) ? 0 : v <= low ? std::numeric_limits<D>::min() : v >= top ? std::numeric_limits<D>::max() : (D)v);
	});
}

template <class S>
void to_floats(table &t, const char *from) {
	set(t, "cvt.rn.f32", from, "=f i", ACTION { put<float>(c, i, 0, (float)get<S>(c, i, 1)); });
	set(t, "cvt.rn.f64", from, "=g i", ACTION { put<double>(c, i, 0, (double)get<S>(c, i, 1)); });
}

// fields are get's for vectors of N registers, from operand n on.
template <int N, class T>
void fields(const context &c, const instruction &i, int n, T *to) {
	for (int j = 0; j < N; j++) to[j] = get<T>(c, i, n + j);
}

template <class T, void MMA(T *, const uint32_t *, uint32_t, uint32_t)>
void multiply(context &c, const instruction &i) {
	meet(c, i);
	T sum[4];
	uint32_t a[4], b[2];
	fields<4>(c, i, 4, a);
	fields<2>(c, i, 8, b);
	fields<4>(c, i, 10, sum);
	MMA(sum, a, b[0], b[1]);
	for (int j = 0; j < 4; j++) put<T>(c, i, j, sum[j]);
}

template <int BYTES>
void copy(context &c, const instruction &i) {
	if (get<int>(c, i, 2) != BYTES) die(c, i, "cp.async of another size");
	char *to = at<'s'>(c, i, 0, BYTES);
	begin_copy(c, i, to - shared_memory(), BYTES);
	instruction from = i;
	from.offset = 0;
	sim::copy_async(to, at<'m'>(c, from, 1, BYTES), BYTES);
}

inline uint32_t permute(uint32_t a, uint32_t b, uint32_t how) {
	uint64_t bytes = (uint64_t)b << 32 | a;
	uint32_t d = 0;
	for (int j = 0; j < 4; j++) {
		uint32_t s = how >> 4 * j & 15, v = bytes >> 8 * (s & 7) & 255;
		if (s & 8) v = v & 128 ? 255 : 0;
		d |= v << 8 * j;
	}
	return d;
}

// extract is bfe: bits from pos on, len of them; of signed ones the topmost is repeated.
template <class T>
void extract(context &c, const instruction &i) {
	uint32_t pos = get<uint32_t>(c, i, 2) & 255, len = get<uint32_t>(c, i, 3) & 255;
	int64_t a = (int64_t)get<T>(c, i, 1);
	uint64_t v = len == 0 ? 0 : (uint64_t)(pos < 32 ? a >> pos : a < 0 ? -1 : 0);
	if (len > 0 && len < 32) {
		bool negative = std::numeric_limits<T>::is_signed && (v >> (len - 1) & 1);
		v &= (1ull << len) - 1;
		if (negative) v |= ~0ull << len;
	}
	put<uint32_t>(c, i, 0, (uint32_t)v);
}

void hopper(table &); // ptx_hopper.h

inline table make_table() {
	table t;
	integers<int16_t, int32_t, uint16_t>(t, "s16", 'h', 'w');
	integers<uint16_t, uint32_t, uint16_t>(t, "u16", 'h', 'w');
	integers<int32_t, int64_t, uint32_t>(t, "s32", 'w', 'd');
	integers<uint32_t, uint64_t, uint32_t>(t, "u32", 'w', 'd');
	integers<int64_t, __int128, uint64_t>(t, "s64", 'd', 0);
	integers<uint64_t, unsigned __int128, uint64_t>(t, "u64", 'd', 0);
	patterns<uint16_t>(t, "b16", 'H');
	patterns<uint32_t>(t, "b32", 'W');
	patterns<uint64_t>(t, "b64", 'D');
	floats<float>(t, "f32", 'f');
	floats<double>(t, "f64", 'g');
	for (const char *none : {"neg.u16", "neg.u32", "neg.u64", "abs.u16", "abs.u32", "abs.u64"}) t.erase(none);

	{
		typedef uint8_t T;
		const char *type = "pred", l = 'p';
		BINARY("and", a & b);
		BINARY("or", a | b);
		BINARY("xor", a ^ b);
		UNARY("not", !a);
		UNARY("mov", a);
	}

	memories<'q'>(t, "");
	memories<'m'>(t, ".global");
	memories<'m'>(t, ".global.nc");
	for (auto d = t.lower_bound("st.global.nc."); d != t.end() && d->first.compare(0, 13, "st.global.nc.") == 0;) d = t.erase(d); // what does not change is not written
	memories<'s'>(t, ".shared");
	memories<'a'>(t, ".param");

	converts<uint8_t>(t, "u8");
	converts<int8_t>(t, "s8");
	converts<uint16_t>(t, "u16");
	converts<int16_t>(t, "s16");
	converts<uint32_t>(t, "u32");
	converts<int32_t>(t, "s32");
	converts<uint64_t>(t, "u64");
	converts<int64_t>(t, "s64");
	to_floats<uint8_t>(t, "u8");
	to_floats<int8_t>(t, "s8");
	to_floats<uint16_t>(t, "u16");
	to_floats<int16_t>(t, "s16");
	to_floats<uint32_t>(t, "u32");
	to_floats<int32_t>(t, "s32");
	to_floats<uint64_t>(t, "u64");
	to_floats<int64_t>(t, "s64");
	set(t, "cvt.f64.f32", "", "=g f", ACTION { put<double>(c, i, 0, get<float>(c, i, 1)); });
	set(t, "cvt.rn.f32.f64", "", "=f g", ACTION { put<float>(c, i, 0, (float)get<double>(c, i, 1)); });
	set(t, "cvt.rni.f32.f32", "", "=f f", ACTION { put<float>(c, i, 0, rintf(get<float>(c, i, 1))); });
	set(t, "cvt.f32.f16", "", "=f H", ACTION { put<float>(c, i, 0, from_f16(get<uint16_t>(c, i, 1))); });
	set(t, "cvt.rn.f16.f32", "", "=H f", ACTION { put<uint16_t>(c, i, 0, to_f16(get<float>(c, i, 1))); });
	set(t, "cvt.rn.f16x2.f32", "", "=w f f", ACTION { put<uint32_t>(c, i, 0, pack_f16(get<float>(c, i, 2), get<float>(c, i, 1))); });
	set(t, "cvt.rn.bf16x2.f32", "", "=w f f", ACTION { put<uint32_t>(c, i, 0, pack_bf16(get<float>(c, i, 2), get<float>(c, i, 1))); });

	set(t, "prmt.b32", "", "=w w w w", ACTION { put<uint32_t>(c, i, 0, permute(get<uint32_t>(c, i, 1), get<uint32_t>(c, i, 2), get<uint32_t>(c, i, 3))); });
	set(t, "bfe.u32", "", "=w w w w", extract<uint32_t>);
	set(t, "bfe.s32", "", "=w w w w", extract<int32_t>);
	set(t, "dp4a.s32.s32", "", "=w w w w", ACTION { put<int>(c, i, 0, ::dp4a(get<uint32_t>(c, i, 1), get<uint32_t>(c, i, 2), get<int>(c, i, 3))); });
	set(t, "mov.b64.", "", "=D {WW}", ACTION { put<uint64_t>(c, i, 0, get<uint32_t>(c, i, 1) | (uint64_t)get<uint32_t>(c, i, 2) << 32); });
	set(t, "mov.b64..", "", "={WW} D", ACTION {
		uint64_t v = get<uint64_t>(c, i, 2);
		put<uint32_t>(c, i, 0, (uint32_t)v);
		put<uint32_t>(c, i, 1, (uint32_t)(v >> 32));
	});
	set(t, "mov.b32.", "", "=W {HH}", ACTION { put<uint32_t>(c, i, 0, get<uint16_t>(c, i, 1) | (uint32_t)get<uint16_t>(c, i, 2) << 16); });
	set(t, "mov.b32..", "", "={HH} W", ACTION {
		uint32_t v = get<uint32_t>(c, i, 2);
		put<uint16_t>(c, i, 0, (uint16_t)v);
		put<uint16_t>(c, i, 1, (uint16_t)(v >> 16));
	});
	for (const char *s : {"cvta.to.global.u64", "cvta.global.u64"}) set(t, s, "", "=d d", ACTION { put<uint64_t>(c, i, 0, get<uint64_t>(c, i, 1)); });

	for (const char *s : {"bra", "bra.uni"}) set(t, s, "", "l", ACTION { c.pc = i.extra; });
	set(t, "ret", "", "", ACTION { c.done = true; });
	set(t, "bar.sync", "", "n", ACTION {
		if (get<int>(c, i, 0) != 0) die(c, i, "a barrier other than 0");
		sim::barrier();
		passed_barrier(true);
	}, 0, 0, true);
	set(t, "bar.warp.sync", "", "w", ACTION {
		if (get<uint32_t>(c, i, 0) != 0xffffffff) die(c, i, "some lanes alone");
		meet(c, i);
		sim::warp_barrier();
		passed_barrier(false);
	}, 0, 0, true);
	set(t, "shfl.sync.bfly.b32", "", "=w w w w w", ACTION {
		if (get<uint32_t>(c, i, 3) != 31 || get<uint32_t>(c, i, 4) != 0xffffffff) die(c, i, "some lanes alone");
		meet(c, i);
		put<int>(c, i, 0, shuffle_xor_i(get<int>(c, i, 1), get<int>(c, i, 2)));
	}, 0, 0, true);
	const char *four = "={ffff} {wwww} {ww} {ffff}";
	set(t, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "", four, multiply<float, mma_bf16>, 0, 0, true);
	set(t, "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "", four, multiply<float, mma_f16>, 0, 0, true);
	set(t, "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", "", "={wwww} {wwww} {ww} {wwww}", multiply<int, mma_s8>, 0, 0, true);
	set(t, "cvta.shared.u64", "", "=d d", ACTION { put<uint64_t>(c, i, 0, get<uint64_t>(c, i, 1) + SHARED_WINDOW); });
	set(t, "cvta.to.shared.u64", "", "=d d", ACTION { put<uint64_t>(c, i, 0, get<uint64_t>(c, i, 1) - SHARED_WINDOW); });
	set(t, "fma.rn.f16x2", "", "=w w w w", ACTION { // (rounded to double first, which numbers of a similar size do not see)
		uint32_t d = 0;
		for (int h = 0; h < 2; h++) {
			double v[3];
			for (int j = 0; j < 3; j++) v[j] = from_f16((uint16_t)(get<uint32_t>(c, i, 1 + j) >> 16 * h));
			d |= (uint32_t)to_f16((float)std::fma(v[0], v[1], v[2])) << 16 * h;
		}
		put<uint32_t>(c, i, 0, d);
	});
	set(t, "clz.b32", "", "=w w", ACTION {
		uint32_t v = get<uint32_t>(c, i, 1);
		put<int>(c, i, 0, v ? __builtin_clz(v) : 32);
	});
	set(t, "popc.b32", "", "=w w", ACTION { put<int>(c, i, 0, __builtin_popcount(get<uint32_t>(c, i, 1))); });
	set(t, "bfe.u64", "", "=d d w w", ACTION {
		uint32_t pos = get<uint32_t>(c, i, 2) & 255, len = get<uint32_t>(c, i, 3) & 255;
		uint64_t v = pos < 64 ? get<uint64_t>(c, i, 1) >> pos : 0;
		put<uint64_t>(c, i, 0, len < 64 ? v & ((1ull << len) - 1) : v);
	});
	set(t, "cp.async.cg.shared.global", "", "s m n", copy<16>, 0, 0, true);
	set(t, "cp.async.ca.shared.global", "", "s m n", copy<8>, 0, 0, true);
	set(t, "cp.async.commit_group", "", "", ACTION {
		sim::commit_async();
		end_group();
	}, 0, 0, true);
	set(t, "cp.async.wait_group", "", "n", ACTION {
		sim::wait_async(get<int>(c, i, 0));
		end_copies(get<int>(c, i, 0));
	}, 0, 0, true);
	set(t, "griddepcontrol.launch_dependents", "", "", ACTION {});
	set(t, "griddepcontrol.wait", "", "", ACTION { sim::await_earlier(); });
	set(t, "prefetch.global.L2", "", "m", ACTION {
		if (!in_global(c.r[i.operand[0]] + i.offset, 1)) die(c, i, "no memory to prefetch");
	});
	set(t, "fence.acq_rel.gpu", "", "", ACTION {});
	set(t, "atom.relaxed.gpu.global.inc.u32", "", "=w m w", ACTION {
		uint32_t *p = (uint32_t *)at<'m'>(c, i, 1, 4), before = *p;
		*p = before >= get<uint32_t>(c, i, 2) ? 0 : before + 1;
		put<uint32_t>(c, i, 0, before);
		if (*p) sim::counted();
	});
	hopper(t);
	return t;
}

} // namespace ptx
