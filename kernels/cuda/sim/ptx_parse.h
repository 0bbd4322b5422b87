// Parses a module of PTX into kernels, and holds each instruction to its definition
// (ptx_ops.h). What is wrong is an error that says where.
#pragma once

#include <ctype.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "ptx_ops.h"

namespace ptx {

struct parser {
	const table &known;
	const std::string &source;
	size_t pos = 0;
	int line = 1;
	std::vector<kernel> kernels;

	struct range { // registers PREFIX0 to PREFIXn-1, or one
		int first, n;
		type class_;
	};
	struct label_use {
		size_t instruction;
		std::string label;
	};
	// What is declared between two braces.
	struct scope {
		std::map<std::string, range> ranges, single;
		std::map<std::string, int> labels, shared;
		std::vector<label_use> uses;
	};
	struct array {
		std::string name;
		int align, bytes;
	};

	std::vector<scope> scopes;
	std::map<std::string, array> of_module; // shared memory that a kernel has if it uses it
	std::string dynamic;                    // shared memory of the launch
	kernel *k = nullptr;
	int shared = 0;

	[[noreturn]] void fail(const std::string &what) const { throw fault(text("line %d: ", line) + what); }

	// Text.

	bool starts(const char *s) const { return source.compare(pos, strlen(s), s) == 0; }
	void skip() {
		for (; pos < source.size(); pos++) {
			if (starts("//")) pos = std::min(source.find('\n', pos), source.size() - 1);
			if (source[pos] == '\n') line++;
			else if (!isspace((unsigned char)source[pos])) return;
		}
	}
	static bool of_word(char c) { return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '%' || c == '.'; }
	std::string word() {
		skip();
		size_t from = pos;
		while (pos < source.size() && (of_word(source[pos]) || starts("::"))) pos += starts("::") ? 2 : 1;
		if (pos == from) fail(text("'%c' where a word should be", source[pos]));
		return source.substr(from, pos - from);
	}
	bool take(char c) {
		skip();
		if (pos >= source.size() || source[pos] != c) return false;
		pos++;
		return true;
	}
	void expect(char c) {
		if (!take(c)) fail(text("'%c' where '%c' should be", source[pos], c));
	}
	long number() {
		std::string w = word();
		char *end;
		long n = strtol(w.c_str(), &end, 0);
		if (*end) fail("a number should be where '" + w + "' is");
		return n;
	}

	// Declarations.

	static int bytes_of(const std::string &t) {
		int bits = atoi(t.c_str() + 2);
		return t == ".pred" ? 1 : t[0] == '.' && bits >= 8 ? bits / 8 : 0;
	}

	int place_shared(const array &a) {
		int at = (shared + a.align - 1) / a.align * a.align;
		shared = at + a.bytes;
		return at;
	}

	// .shared .align 16 .b8 name[bytes];
	array declare_shared() {
		int align = 1;
		std::string w = word();
		if (w == ".align") align = number(), w = word();
		int bytes = bytes_of(w);
		if (!bytes) fail("unknown type " + w);
		std::string name = word();
		if (take('[')) {
			bytes *= take(']') ? 0 : number();
			if (source[pos - 1] != ']') expect(']');
		}
		expect(';');
		return {name, align, bytes};
	}

	// .reg .b32 %r<12>; .reg .pred p, q;
	void declare_registers() {
		static const std::map<std::string, type> types = {{".pred", PRED}, {".b16", B16}, {".u16", B16}, {".s16", B16}, {".b32", B32}, {".u32", B32}, {".s32", B32},
			{".f32", F32_}, {".b64", B64}, {".u64", B64}, {".s64", B64}, {".f64", F64_}};
		std::string t = word();
		if (!types.count(t)) fail("unknown type " + t);
		do {
			std::string name = word();
			range r = {k->registers, 1, types.at(t)};
			if (take('<')) {
				r.n = number();
				expect('>');
				scopes.back().ranges[name] = r;
			} else scopes.back().single[name] = r;
			k->registers += r.n;
		} while (take(','));
		expect(';');
	}

	// Operands.

	struct place {
		int at; // -1 - n: constant n
		type class_;
		bool constant;
	};

	place constant(uint64_t v, type class_) {
		k->constants.push_back(v);
		return {-(int)k->constants.size(), class_, true};
	}

	bool find_register(const std::string &name, place &to) const {
		size_t digits = name.find_last_not_of("0123456789") + 1;
		for (size_t s = scopes.size(); s-- > 0;) {
			auto one = scopes[s].single.find(name);
			if (one != scopes[s].single.end()) {
				to = {one->second.first, one->second.class_, false};
				return true;
			}
			auto many = scopes[s].ranges.find(name.substr(0, digits));
			if (many != scopes[s].ranges.end() && digits < name.size()) {
				int n = atoi(name.c_str() + digits);
				if (n >= many->second.n) fail(name + " is not declared");
				to = {many->second.first + n, many->second.class_, false};
				return true;
			}
		}
		return false;
	}

	bool find_symbol(const std::string &name, int &at) {
		for (size_t s = scopes.size(); s-- > 0;) {
			auto f = scopes[s].shared.find(name);
			if (f != scopes[s].shared.end()) {
				at = f->second;
				return true;
			}
		}
		auto f = of_module.find(name);
		if (f != of_module.end()) {
			at = scopes.front().shared[name] = place_shared(f->second);
			return true;
		}
		at = BEHIND;
		return name == dynamic;
	}
	enum { BEHIND = -1 }; // the address of dynamic shared memory, which is not known yet

	static char size_letter(type t) { return t == PRED ? 'p' : t == B16 ? 'h' : t == B32 ? 'w' : t == F32_ ? 'f' : t == B64 ? 'd' : 'g'; }

	// fits reports whether a register of a class may stand where a letter is.
	static bool fits(char letter, type t) {
		switch (letter) {
		case 'p': return t == PRED;
		case 'h': return t == B16;
		case 'w': return t == B32;
		case 'd': return t == B64;
		case 'f': return t == F32_ || t == B32;
		case 'g': return t == F64_ || t == B64;
		case 'H': return t == B16;
		case 'W': return t == B32 || t == F32_;
		case 'D': return t == B64 || t == F64_;
		case 'i': return t == B16 || t == B32 || t == B64;
		}
		return false;
	}

	// value parses a register, a number or a symbol.
	place value(const std::string &w, char letter, bool written) {
		place p;
		if (find_register(w, p)) {
			if (!fits(letter, p.class_)) fail(w + " is a register of another type");
			return p;
		}
		if (written) fail("'" + w + "' is no register");
		int at;
		if (w[0] == '%') {
			static const std::vector<std::string> special = {"%tid.x", "%ctaid.x", "%ctaid.y", "%ctaid.z", "%nctaid.x", "%nctaid.y", "%nctaid.z", "%ntid.x", "%laneid", "%cluster_ctarank"};
			static_assert(SPECIAL == 10);
			for (size_t s = 0; s < special.size(); s++)
				if (w == special[s] && letter == 'w') return {(int)s, B32, false}; // the first registers
			fail("unknown register " + w);
		}
		if (find_symbol(w, at)) {
			if (at == BEHIND) k->behind.push_back(k->constants.size());
			return constant(at, letter == 'd' || letter == 'D' ? B64 : B32);
		}
		bool floating = letter == 'f' || letter == 'g';
		if (w.size() == 10 && w.compare(0, 2, "0f") == 0 && (floating || letter == 'W')) return constant(strtoul(w.c_str() + 2, nullptr, 16), F32_);
		if (w.size() == 18 && w.compare(0, 2, "0d") == 0 && floating) return constant(strtoull(w.c_str() + 2, nullptr, 16), F64_);
		if (floating) fail("'" + w + "' where a float should be");
		char *end;
		long v = w[0] == '-' ? strtol(w.c_str(), &end, 0) : (long)strtoul(w.c_str(), &end, 0);
		if (*end || w.empty()) fail("unknown operand '" + w + "'");
		return constant((uint64_t)v, B64);
	}

	std::string signed_word() {
		bool minus = take('-'), not_ = !minus && take('!');
		if (not_) fail("a negated operand");
		return (minus ? "-" : "") + word();
	}

	// address parses [base], [base+offset].
	place address(char letter, long &offset) {
		expect('[');
		std::string w = signed_word();
		place p;
		offset = 0;
		int at;
		if (letter == 'a') {
			for (size_t n = 0; n < k->parameters.size(); n++)
				if (k->parameters[n].name == w) p = {(int)n, PARAMETER, false}, w = "";
			if (!w.empty()) fail("unknown parameter " + w);
		} else if (find_register(w, p)) {
			if (p.class_ != B64 && !(letter == 's' && p.class_ == B32)) fail(w + " is no address");
		} else if (letter == 's' && find_symbol(w, at)) {
			p = constant(at, B64);
		} else fail("unknown address " + w);
		if (take('+')) offset = strtol(signed_word().c_str(), nullptr, 0);
		expect(']');
		return p;
	}

	// Statements.

	void add(instruction &i, const place &p) {
		i.all.push_back(p.at);
		i.classes.push_back(p.class_);
	}

	void operands(instruction &i, const std::string &opcode, const definition &d) {
		size_t count = 0;
		bool written = false;
		for (size_t s = 0; s < d.signature.size(); s++) {
			char c = d.signature[s];
			if (c == ' ') {
				written = false;
				continue;
			}
			if (c == '=') {
				written = true;
				continue;
			}
			size_t first = i.all.size();
			if (count++ > 0) expect(',');
			if (c == '{') {
				expect('{');
				for (s++; d.signature[s] != '}'; s++) {
					add(i, value(signed_word(), d.signature[s], written));
					if (d.signature[s + 1] != '}') expect(',');
				}
				expect('}');
			} else if (c == '_') {
				if (word() != "_") fail(opcode + ": '_' should be here");
			} else if (c == 'm' || c == 's' || c == 'a' || c == 'q') {
				long offset;
				add(i, address(c, offset));
				if (offset != 0) {
					if (i.offset != 0) fail(opcode + ": two offsets");
					i.offset = offset;
				}
			} else if (c == 'l') {
				scopes.back().uses.push_back({k->code.size(), word()});
			} else if (c == 'n') {
				place p = value(signed_word(), 'w', false);
				if (!p.constant) fail(opcode + ": a register where a number should be");
				add(i, p);
			} else add(i, value(signed_word(), c, written));
			if (written) i.written += i.all.size() - first;
		}
	}

	void statement_instruction(std::string opcode, int guard, bool negated) {
		instruction i = {};
		i.line = line, i.guard = guard, i.negated = negated;
		if (opcode.compare(0, 4, "mov.") == 0) {
			skip();
			size_t end = source.find(';', pos), comma = source.find(',', pos), brace = source.find('{', pos);
			if (brace < end) opcode += brace < comma ? ".." : ".";
		}
		auto d = known.find(opcode);
		if (d == known.end()) fail("unknown instruction " + opcode);
		i.run = d->second.run;
		operands(i, opcode, d->second);
		expect(';');
		if (d->second.together) k->together = true;
		if (opcode == "bra" || opcode == "bra.uni") i.kind = JUMPS;
		if (opcode == "ret") i.kind = ENDS;
		if (opcode == "griddepcontrol.wait") k->awaits = true;
		if (opcode.compare(0, 9, "mbarrier.") == 0) k->barriers = true;
		k->code.push_back(i);
	}

	void open() { scopes.push_back({}); }

	// close ends a scope; what it uses and has not is left to the one around it.
	void close() {
		scope s = std::move(scopes.back());
		scopes.pop_back();
		for (const label_use &u : s.uses) {
			auto f = s.labels.find(u.label);
			if (f != s.labels.end()) k->code[u.instruction].extra = f->second;
			else if (scopes.empty()) fail("unknown label " + u.label);
			else scopes.back().uses.push_back(u);
		}
	}

	void body() {
		open();
		while (!scopes.empty()) {
			if (take('{')) {
				open();
				continue;
			}
			if (take('}')) {
				close();
				continue;
			}
			if (take(';')) continue;
			int guard = -1;
			bool negated = false;
			if (take('@')) {
				negated = take('!');
				guard = value(word(), 'p', true).at;
			}
			std::string w = word();
			if (take(':')) {
				if (!scopes.back().labels.insert({w, (int)k->code.size()}).second) fail("a second label " + w);
			} else if (w == ".reg") declare_registers();
			else if (w == ".shared") {
				array a = declare_shared();
				scopes.back().shared[a.name] = place_shared(a);
			}
			else if (w == ".pragma") pos = source.find(';', pos);
			else if (w[0] == '.') fail("unknown directive " + w);
			else statement_instruction(w, guard, negated);
		}
	}

	void entry() {
		kernels.push_back({});
		k = &kernels.back();
		k->name = word();
		k->registers = SPECIAL;
		shared = 0;
		expect('(');
		while (!take(')')) {
			if (word() != ".param") fail("a parameter should be here");
			std::string t = word();
			if (!bytes_of(t)) fail("unknown type of a parameter: " + t);
			k->parameters.push_back({word(), (size_t)bytes_of(t)});
			take(',');
		}
		while (!take('{')) {
			std::string w = word();
			if (w == ".maxntid") {
				k->threads = number();
				while (take(',')) number();
			} else if (w == ".reqnctapercluster") {
				k->cluster = number();
				while (take(',')) k->cluster *= number();
			} else if (w == ".minnctapersm" || w == ".maxnreg") number();
			else if (w == ".explicitcluster") continue;
			else fail("unknown directive " + w);
		}
		body();
		k->shared = (shared + 1023) / 1024 * 1024;
		if (k->behind.empty()) k->shared = (shared + 15) / 16 * 16;
		for (int c : k->behind) k->constants[c] = k->shared;
		instruction end = {};
		end.run = known.at("ret").run, end.line = line, end.kind = ENDS;
		k->code.push_back(end);
		// Constants lie behind the registers.
		for (instruction &i : k->code) {
			for (size_t n = 0; n < i.all.size(); n++) {
				if (i.all[n] < 0) i.all[n] = k->registers - 1 - i.all[n];
				if (n < sizeof i.operand / sizeof i.operand[0]) i.operand[n] = i.all[n];
			}
		}
	}

	void module() {
		for (skip(); pos < source.size() && source[pos]; skip()) {
			std::string w = word();
			if (w == ".version" || w == ".address_size" || w == ".target") word();
			else if (w == ".visible") continue;
			else if (w == ".entry") entry();
			else if (w == ".shared") {
				array a = declare_shared();
				of_module.insert({a.name, a});
			} else if (w == ".extern") {
				if (word() != ".shared") fail("an external symbol");
				while (source[pos] != '[') dynamic = word(), skip();
				expect('['), expect(']'), expect(';');
			} else fail("unknown directive " + w);
		}
	}
};

// parse returns the kernels of a module; fault says what the device's compiler would not
// accept.
inline std::vector<kernel> parse(const std::string &source) {
	static const table known = make_table();
	parser p = {known, source};
	p.module();
	return std::move(p.kernels);
}

} // namespace ptx
