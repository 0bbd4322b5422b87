// PTX itself, run on the host: what a driver would be given is parsed as strictly as its
// compiler would, and each CUDA thread's fiber interprets it. So inline assembly, which
// the sources compiled for the host leave out, is seen too: a form that does not exist, an
// operand of another type or in another place, an address that is not aligned or lies
// outside of the kernel's memory. Semantics: PTX ISA 8.0, "Instruction Set".
#pragma once

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace ptx {

// A register's class: its size, and whether it is declared a float.
enum type { PRED, B16, B32, F32_, B64, F64_, PARAMETER };

inline int size_of(type t) { return t == PRED ? 1 : t == B16 ? 2 : t == B32 || t == F32_ ? 4 : 8; }

enum { SPECIAL = 10 }; // registers that the device sets, which are the first

enum kind { GOES_ON, JUMPS, ENDS };

struct context;
struct instruction;
typedef void (*action)(context &, const instruction &);

// An instruction, its operands one after the other: places in the thread's register file,
// where constants lie behind the registers.
struct instruction {
	action run;
	int operand[16];
	std::vector<int> all; // the same, however many
	std::vector<type> classes; // of registers among the operands
	int written = 0;           // so many of the operands, the first
	ptx::kind kind = GOES_ON;
	int guard = -1;
	bool negated = false;
	long offset = 0; // of an address
	int extra = 0;   // the label's place, a number in the opcode
	int line;
};

struct parameter {
	std::string name;
	size_t size;
};

struct kernel {
	std::string name;
	std::vector<parameter> parameters;
	int threads = 0;
	std::vector<instruction> code;
	int registers = 0;
	std::vector<uint64_t> constants;
	int shared = 0;      // bytes of static shared memory
	std::vector<int> behind; // constants that are the address of the dynamic one
	int cluster = 1;     // blocks
	bool together = false; // it has barriers, or what lanes do together
	bool awaits = false;   // it waits for the launches ahead
	bool barriers = false; // it has some in shared memory, which order accesses too
};

struct context {
	uint64_t *r;
	const kernel *k;
	void **parameters;
	int pc;
	bool done;
};

struct fault : std::runtime_error {
	using std::runtime_error::runtime_error;
};

__attribute__((format(printf, 1, 2))) inline std::string text(const char *format, ...) {
	char s[512];
	va_list list;
	va_start(list, format);
	vsnprintf(s, sizeof s, format, list);
	va_end(list);
	return s;
}

} // namespace ptx
