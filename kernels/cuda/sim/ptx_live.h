// How many registers are alive together in a kernel's PTX, in the order in which it stands: a
// hint of what a device's compiler will need, which orders it anew and spills what is beyond
// its bound.
#pragma once

#include "ptx.h"

namespace ptx {

inline int registers_alive(const kernel &k) {
	typedef std::vector<uint64_t> set; // of registers, a bit each
	std::vector<int> weight(k.registers); // in registers of 32 bits
	auto is_register = [&](const instruction &i, size_t n) { return i.classes[n] != PARAMETER && i.all[n] >= SPECIAL && i.all[n] < k.registers; };
	for (const instruction &i : k.code)
		for (size_t n = 0; n < i.all.size(); n++)
			if (is_register(i, n)) weight[i.all[n]] = i.classes[n] == PRED ? 0 : (size_of(i.classes[n]) + 3) / 4;
	std::vector<set> before(k.code.size() + 1, set(k.registers / 64 + 1));
	for (bool changed = true; changed;) {
		changed = false;
		for (size_t at = k.code.size(); at-- > 0;) {
			const instruction &i = k.code[at];
			set live(k.registers / 64 + 1);
			auto from = [&](const set &s) {
				for (size_t w = 0; w < live.size(); w++) live[w] |= s[w];
			};
			if (i.kind == JUMPS) from(before[i.extra]);
			if (i.kind == GOES_ON || i.guard >= 0) from(before[at + 1]);
			for (size_t n = 0; n < i.all.size(); n++)
				if ((int)n < i.written && i.guard < 0 && is_register(i, n)) live[i.all[n] / 64] &= ~(1ull << i.all[n] % 64);
			for (size_t n = 0; n < i.all.size(); n++)
				if ((int)n >= i.written && is_register(i, n)) live[i.all[n] / 64] |= 1ull << i.all[n] % 64;
			if (live != before[at]) before[at] = std::move(live), changed = true;
		}
	}
	int most = 0;
	for (const set &s : before) {
		int sum = 0;
		for (int r = 0; r < k.registers; r++)
			if (s[r / 64] >> r % 64 & 1) sum += weight[r];
		most = std::max(most, sum);
	}
	return most;
}

} // namespace ptx
