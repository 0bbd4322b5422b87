//go:build linux && amd64 && !nocuda

package cuda

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// form is an instruction that inline assembly gives, which clang passes on as it is: the
// driver's compiler would be the first to see a slip. Each is held here to the PTX manual:
// opcode with all modifiers, kinds of operands, and what it is there from.
type form struct {
	opcode   string
	operands string // kinds: kindOf's; "=4" is that number; {2 f} two of a vector
	isa      int    // 80: PTX ISA 8.0
	target   string // the least; with an a that one alone
	section  string // of the manual's chapter on instructions
}

var forms = []form{
	{"dp4a.s32.s32", "r, r, r, r", 50, "sm_61", "dp4a"},
	{"prmt.b32", "r, r, r, r", 20, "sm_20", "prmt"},
	{"fma.rn.f16x2", "r, r, r, r", 42, "sm_53", "half precision fma"},
	{"cvt.rn.bf16x2.f32", "r, f, f", 70, "sm_80", "cvt: of two values the first is the upper half"},
	{"cvt.rn.f16x2.f32", "r, f, f", 70, "sm_80", "cvt"},
	{"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "{4 f}, {4 r}, {2 r}, {4 f}", 70, "sm_80", "mma"},
	{"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "{4 f}, {4 r}, {2 r}, {4 f}", 70, "sm_80", "mma"},
	{"mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", "{4 r}, {4 r}, {2 r}, {4 r}", 70, "sm_80", "mma"},
	{"cp.async.cg.shared.global", "[r], [d], =16", 70, "sm_80", "cp.async: .cg takes 16 bytes alone"},
	{"cp.async.ca.shared.global", "[r], [d], =8", 70, "sm_80", "cp.async"},
	{"cp.async.commit_group", "", 70, "sm_80", "cp.async.commit_group"},
	{"cp.async.wait_group", "i", 70, "sm_80", "cp.async.wait_group"},
	{"prefetch.global.L2", "[d]", 20, "sm_20", "prefetch"},
	{"fence.acq_rel.gpu", "", 60, "sm_70", "membar / fence"},
	{"atom.relaxed.gpu.global.inc.u32", "r, [d], r", 60, "sm_70", "atom"},
	{"griddepcontrol.launch_dependents", "", 78, "sm_90", "griddepcontrol"},
	{"griddepcontrol.wait", "", 78, "sm_90", "griddepcontrol"},
	{"barrier.cluster.arrive", "", 78, "sm_90", "barrier.cluster"},
	{"barrier.cluster.wait", "", 78, "sm_90", "barrier.cluster"},
	{"mapa.shared::cluster.u32", "r, r, r", 78, "sm_90", "mapa"},
	{"mbarrier.init.shared::cta.b64", "[r], r", 78, "sm_80", "mbarrier.init"},
	{"mbarrier.arrive.expect_tx.shared::cta.b64", "_, [r], r", 80, "sm_90", "mbarrier.arrive"},
	{"mbarrier.arrive.shared::cluster.b64", "_, [r]", 80, "sm_90", "mbarrier.arrive: of another block's without a state"},
	{"mbarrier.try_wait.parity.shared::cta.b64", "p, [r], r", 78, "sm_90", "mbarrier.test_wait / mbarrier.try_wait"},
	{"fence.mbarrier_init.release.cluster", "", 80, "sm_90", "membar / fence"},
	{"fence.proxy.async", "", 80, "sm_90", "membar / fence"},
	{"cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes", "[r], [d], r, [r]", 80, "sm_90", "cp.async.bulk"},
	{"cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster", "[r], [d], r, [r], h", 80, "sm_90", "cp.async.bulk"},
	// D, A in registers, B's descriptor, scale-d, imm-scale-a, imm-scale-b, imm-trans-b.
	{"wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16", "{64 f}, {4 r}, d, p, =1, =1, =0", 80, "sm_90a", "wgmma.mma_async"},
	{"wgmma.mma_async.sync.aligned.m64n192k16.f32.f16.f16", "{96 f}, {4 r}, d, p, =1, =1, =0", 80, "sm_90a", "wgmma.mma_async"},
	{"wgmma.fence.sync.aligned", "", 80, "sm_90a", "wgmma.fence"},
	{"wgmma.commit_group.sync.aligned", "", 80, "sm_90a", "wgmma.commit_group"},
	{"wgmma.wait_group.sync.aligned", "i", 80, "sm_90a", "wgmma.wait_group"},
	{"setmaxnreg.inc.sync.aligned.u32", "=232", 80, "sm_90a", "setmaxnreg"},
	{"setmaxnreg.dec.sync.aligned.u32", "=40", 80, "sm_90a", "setmaxnreg"},
}

// plain are the instructions that clang chooses, whose operands it chooses too.
var plain = func() *regexp.Regexp {
	const integer, float, bits, kind = `(s|u)(16|32|64)`, `f(32|64)`, `b(16|32|64)`, `(b|s|u|f)(16|32|64)`
	return regexp.MustCompile(`^(` + strings.Join([]string{
		`(add|sub|min|max|div|rem|abs|neg|mul\.(lo|hi|wide)|mad\.lo|shr)\.` + integer,
		`(add|sub|mul|div|fma|sqrt|rcp)\.rn\.` + float, `(abs|neg|min|max)\.` + float,
		`(and|or|xor|not)\.(pred|` + bits + `)`, `shl\.` + bits, `shr\.` + bits, `bfe\.(s|u)(32|64)`, `(clz|popc)\.b32`,
		`setp\.(eq|ne|lt|le|gt|ge|nan|num|(eq|ne|lt|le|gt|ge)u)\.` + kind, `(selp|mov)\.` + kind, `mov\.pred`,
		`(ld|st)(\.(param|global|shared))?(\.v[24])?\.(b|s|u|f)(8|16|32|64)`,
		`cvt(\.(rn|rz|rni|rzi))?\.(s|u|f)(8|16|32|64)\.(s|u|f)(8|16|32|64)`, `cvta(\.to)?\.(global|shared)\.u64`,
		`bra(\.uni)?`, `ret`, `bar\.sync`, `bar\.warp\.sync`, `shfl\.sync\.bfly\.b32`,
	}, `|`) + `)$`)
}()

// directives that the kernels' PTX has.
var directives = regexp.MustCompile(`^\.(version|target|address_size|visible|entry|param|maxntid|minnctapersm|explicitcluster|reqnctapercluster|pragma|reg|shared|global|const|extern \.shared)\b`)

// special are registers that the device fills, and from which ISA on: all below sm_90 from
// the beginning.
var special = regexp.MustCompile(`^%(tid|ctaid|nctaid)\.[xyz]$|^%cluster_ctarank$`)

var (
	registers = regexp.MustCompile(`^\.reg \.(pred|b16|b32|b64|f32|f64|u32|u64)\s+(%?[A-Za-z_]\w*)(<\d+>)?;$`)
	register  = regexp.MustCompile(`^(%[a-z]+)\d+$`)
	address   = regexp.MustCompile(`^\[([%\w]+)(?:\+-?\d+)?\]$`)
	halves    = regexp.MustCompile(`^\{ \.reg \.b(16|32) tmp; mov\.b(32|64) \{(tmp, %\w+|%\w+, tmp)\}, %\w+; \}$`) // clang's
	statement = regexp.MustCompile(`^(?:@!?[%\w]+\s+)?([a-z][\w.:]*)\s*(.*)$`)
	kinds     = map[string]string{"pred": "p", "b16": "h", "b32": "r", "u32": "r", "b64": "d", "u64": "d", "f32": "f", "f64": "g"}
)

// scope is what the names of registers stand for.
type scope map[string]string

// kindOf is p, h, r, d, f or g of a register (predicate, 16, 32 and 64 bits, float32,
// float64), i of a number, [r] of an address, _ of nothing, else "".
func (s scope) kindOf(operand string) string {
	if m := address.FindStringSubmatch(operand); m != nil {
		return "[" + s.kindOf(m[1]) + "]"
	}
	if _, err := strconv.ParseInt(operand, 0, 64); err == nil {
		return "i"
	}
	if operand == "_" {
		return "_"
	}
	if m := register.FindStringSubmatch(operand); m != nil {
		operand = m[1]
	}
	return s[operand]
}

// fits reports whether an operand is as a form has it. A number may stand for a register
// of 32 bits that is read.
func (s scope) fits(want, got string, first bool) bool {
	if number, ok := strings.CutPrefix(want, "="); ok {
		return got == number
	}
	if inner, ok := strings.CutPrefix(want, "{"); ok {
		n, kind, _ := strings.Cut(strings.TrimSuffix(inner, "}"), " ")
		list := split(strings.TrimSuffix(strings.TrimPrefix(got, "{"), "}"))
		if strconv.Itoa(len(list)) != n || !strings.HasPrefix(got, "{") {
			return false
		}
		for _, x := range list {
			if s.kindOf(x) != kind {
				return false
			}
		}
		return true
	}
	kind := s.kindOf(got)
	return kind == want || want == "r" && kind == "i" && !first
}

// split cuts at commas outside of braces and brackets.
func split(list string) (parts []string) {
	depth, from := 0, 0
	for i, c := range list {
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				parts, from = append(parts, strings.TrimSpace(list[from:i])), i+1
			}
		}
	}
	if rest := strings.TrimSpace(list[from:]); rest != "" {
		parts = append(parts, rest)
	}
	return parts
}

// has reports whether code for a target may have what is there from least on.
func has(target, least string) bool {
	if strings.HasSuffix(least, "a") {
		return target == least
	}
	number := func(sm string) int {
		n, _ := strconv.Atoi(strings.Trim(sm, "sm_a"))
		return n
	}
	return number(target) >= number(least)
}

// lintForms finds instructions that no form allows.
func lintForms(text, target string, isa int) (faults []string) {
	byOpcode := map[string]form{}
	for _, f := range forms {
		byOpcode[f.opcode] = f
	}
	names := scope{}
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		bad := func(why string) { faults = append(faults, fmt.Sprintf("%s: %s", why, line)) }
		if strings.HasPrefix(line, ".") {
			if m := registers.FindStringSubmatch(line); m != nil {
				names[m[2]] = kinds[m[1]]
			} else if !directives.MatchString(line) {
				bad("a directive that is not known")
			}
			continue
		}
		if line == "" || strings.HasPrefix(line, "//") || strings.HasPrefix(line, "$") || strings.Trim(line, "{}()") == "" || halves.MatchString(line) {
			continue
		}
		if !strings.HasSuffix(line, ";") || strings.Count(line, ";") != 1 {
			bad("not one instruction a line")
			continue
		}
		m := statement.FindStringSubmatch(strings.TrimSuffix(line, ";"))
		if m == nil {
			bad("not an instruction")
			continue
		}
		f, inline := byOpcode[m[1]]
		if !inline {
			if !plain.MatchString(m[1]) {
				bad("neither clang's nor a form of ours that is in the table")
			}
			for _, x := range split(m[2]) {
				if strings.HasPrefix(x, "%") && names.kindOf(x) == "" && !special.MatchString(x) {
					bad("a register that is not known")
				}
				if x == "%cluster_ctarank" && !has(target, "sm_90") {
					bad("a register that " + target + " has not")
				}
			}
			continue
		}
		want, got := split(f.operands), split(m[2])
		ok := len(want) == len(got)
		for i := 0; ok && i < len(want); i++ {
			ok = names.fits(want[i], got[i], i == 0)
		}
		if !ok {
			bad("operands are not " + f.operands + " (PTX ISA, " + f.section + ")")
		}
		if !has(target, f.target) || isa < f.isa {
			bad(fmt.Sprintf("it is there from PTX ISA %d.%d and %s on", f.isa/10, f.isa%10, f.target))
		}
	}
	return faults
}

// TestForms holds the instructions of inline assembly to the table.
func TestForms(t *testing.T) {
	eachPTX(t, func(file, target, text string) {
		for i, fault := range lintForms(text, target, 80) {
			if t.Errorf("%s: %s", file, fault); i == 10 {
				break
			}
		}
	})
	const regs = ".reg .pred %p<9>;\n.reg .b16 %rs<9>;\n.reg .b32 %r<9>;\n.reg .b64 %rd<9>;\n.reg .f32 %f<9>;\n"
	for _, good := range []string{
		"cp.async.cg.shared.global [%r1], [%rd1+16], 16;", "@%p1 bra $L__BB0_1;", "mov.u32 %r1, %tid.x;", "prmt.b32 %r1, %r2, %r3, 30258;",
		"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1,%f2,%f3,%f4}, {%r1,%r2,%r3,%r4}, {%r5,%r6}, {%f1,%f2,%f3,%f4};",
	} {
		if faults := lintForms(regs+good, "sm_80", 80); faults != nil {
			t.Errorf("refused: %s", faults)
		}
	}
	for _, bad := range []string{
		"cp.async.cg.shared.global [%r1], [%rd1], 8;",       // .cg takes 16
		"cp.async.cg.shared.global [%r1], [%r2], 16;",       // a global address has 64 bits
		"cp.async.cq.shared.global [%r1], [%rd1], 16;",      // no such modifier
		"cp.async.wait_group %r1;",                          // a constant
		"cvt.rn.bf16x2.f32 %r1, %f1;",                       // takes two
		"cvt.rn.bf16x2.f32 %f1, %f2, %f3;",                  // gives 32 bits
		"dp4a.s32.s32 7, %r1, %r2, %r3;",                    // a result is no number
		"prmt.b32 %r1, %r2, %r3;",                           //
		"griddepcontrol.wait;",                              // Hopper's
		"mov.u32 %r1, %cluster_ctarank;",                    // Hopper's
		"mov.u32 %r1, %tid.w;",                              // no such register
		"wgmma.fence.sync.aligned;",                         // sm_90a's
		"fence.acq_rel.gpu %r1;",                            // takes nothing
		"add.f32 %f1, %f2, %f3;",                            // rounding unsaid: may be contracted
		"atom.relaxed.gpu.global.add.f32 %f1, [%rd1], %f2;", // not in the table
		".maxnreg 3",                                              // not in the list
		"mov.u32 %r1, %r2; mov.u32 %r3, %r4;", "mov.u32 %r1, %r2", // not one a line
		"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1,%f2,%f3,%f4}, {%r1,%r2,%r3}, {%r5,%r6}, {%f1,%f2,%f3,%f4};", // a has four
	} {
		if lintForms(regs+bad, "sm_80", 80) == nil {
			t.Errorf("passed: %s", bad)
		}
	}
	if lintForms("wgmma.fence.sync.aligned;", "sm_90a", 78) == nil || lintForms("wgmma.fence.sync.aligned;", "sm_100", 80) == nil || lintForms("wgmma.fence.sync.aligned;", "sm_90a", 80) != nil {
		t.Error("wgmma is sm_90a's, from PTX ISA 8.0 on")
	}
}
