//go:build linux && amd64 && !nocuda

package cuda

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"unsafe"
)

// malformed are bodies of a kernel that are not PTX, and what is said of each.
var malformed = []struct{ name, body, want string }{
	{"no such instruction", "frobnicate.x %r1;", "line 13: unknown instruction frobnicate.x"},
	{"no such modifier", "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f1,%f2,%f3,%f4}, {%r1,%r2,%r3,%r4}, {%r1,%r2}, {%f1,%f2,%f3,%f4};", "unknown instruction mma"},
	{"an operand of another type", "add.s32 %r1, %f1, %r2;", "%f1 is a register of another type"},
	{"an operand of another size", "add.s64 %rd1, %rd2, %r2;", "%r2 is a register of another type"},
	{"an operand too few", "fma.rn.f32 %f1, %f2, %f3;", "';' where ',' should be"},
	{"an operand too many", "add.s32 %r1, %r2, %r3, %r4;", "',' where ';' should be"},
	{"a vector too short", "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1,%f2,%f3}, {%r1,%r2,%r3,%r4}, {%r1,%r2}, {%f1,%f2,%f3,%f4};", "'}' where ',' should be"},
	{"a register that is not declared", "mov.u32 %r1, %r99;", "%r99 is not declared"},
	{"a number that is written", "mov.u32 1, %r1;", "'1' is no register"},
	{"an integer for a float", "mov.f32 %f1, 1;", "'1' where a float should be"},
	{"no such label", "bra NOWHERE;", "unknown label NOWHERE"},
	{"no such parameter", "ld.param.u64 %rd1, [k_param_1];", "unknown parameter k_param_1"},
}

// mistakes are bodies that are: of a kernel of 64 threads, whose parameter is memory of 256
// bytes.
var mistakes = []struct{ name, body, want string }{
	{"fine", "st.shared.u32 [%rd1], %r1; bar.sync 0; ld.shared.u32 %r2, [%rd2]; st.global.u32 [%rd3], %r2;", "fine: 63 0"},
	{"beyond memory", "st.global.u32 [%rd3+256], %r1;", "no memory at"},
	{"beyond shared memory", "st.shared.u32 [%rd1+256], %r1;", "256 bytes of shared memory, accessed at "},
	{"not aligned", "ld.shared.v4.u32 {%r1,%r2,%r3,%r4}, [buffer+8];", "an access of 16 bytes at the address 0x8, which is not aligned to it"},
	{"a barrier forgotten", "st.shared.u32 [%rd1], %r1; ld.shared.u32 %r2, [%rd2];", "without a barrier between"},
	{"a barrier of the warp alone", "st.shared.u32 [%rd1], %r1; bar.warp.sync -1; ld.shared.u32 %r2, [%rd2];", "without a barrier between"},
	{"written while it is read", "ld.shared.u32 %r2, [buffer]; st.shared.u32 [buffer+4], %r2;", "without a barrier between"},
	{"shuffles order nothing", "st.shared.u32 [%rd4], %r1; shfl.sync.bfly.b32 %r2, %r1, 1, 31, -1; ld.shared.u32 %r2, [%rd5];", "without a barrier between"},
	{"a copy not waited for", "cp.async.cg.shared.global [%r3], [%rd6], 16; cp.async.commit_group; ld.shared.u32 %r1, [%rd7]; cp.async.wait_group 0;", "which a copy of thread"},
	{"a copy that others do not wait for", "cp.async.cg.shared.global [%r3], [%rd6], 16; cp.async.commit_group; cp.async.wait_group 0; ld.shared.u32 %r2, [%rd2];", "without a barrier between"},
	{"a copy left on its way", "cp.async.cg.shared.global [%r3], [%rd6], 16; cp.async.commit_group;", "a thread ends while copies are on their way"},
	{"lanes apart", "setp.lt.u32 %p1, %r1, 7; @%p1 bar.warp.sync -1; @!%p1 bar.warp.sync -1;", "other lanes of the warp are at line"},
	{"lanes that have ended", "setp.lt.u32 %p1, %r1, 7; @%p1 ret; shfl.sync.bfly.b32 %r2, %r1, 1, 31, -1;", "lanes of the warp have ended"},
	{"for ever", "setp.lt.u32 %p1, %r1, 7; @%p1 bar.sync 0; @!%p1 bar.warp.sync -1; @!%p1 bar.sync 0;", "waits for ever at a barrier"},
}

// mistake is a module with a kernel of a body. %r1 is the thread, %rd1 its word of shared
// memory, %rd2 that of thread 63 less itself, %rd4 and %rd5 its and its neighbour's,
// %rd3 its word of the memory, %r3 (%rd7) and %rd6 16 bytes of both that four threads in
// turn have.
func mistake(body string) []byte {
	return []byte(`// A test.
.version 8.0
.target sm_80
.address_size 64
.visible .entry k(
	.param .u64 k_param_0
)
.maxntid 64, 1, 1
{
	.reg .pred %p<4>; .reg .b32 %r<9>; .reg .f32 %f<9>; .reg .b64 %rd<9>;
	.shared .align 16 .b8 buffer[256];
	mov.u32 %r1, %tid.x; mov.u32 %r2, 0; mov.u64 %rd1, buffer; mul.wide.u32 %rd2, %r1, 4; add.s64 %rd1, %rd1, %rd2; mov.u64 %rd4, %rd1; xor.b64 %rd5, %rd4, 4; xor.b64 %rd2, %rd2, 252; ld.param.u64 %rd3, [k_param_0]; mov.u64 %rd6, %rd3; and.b32 %r3, %r1, 15; mul.wide.u32 %rd7, %r3, 16; add.s64 %rd6, %rd6, %rd7; cvt.u32.u64 %r3, %rd7; mul.wide.u32 %rd8, %r1, 4; add.s64 %rd3, %rd3, %rd8;
	` + body + `
	ret;
}
`)
}

// TestSimulatorRefuses: the simulated device refuses what a driver's compiler would.
func TestSimulatorRefuses(t *testing.T) {
	b := open(t, Config{})
	if *onDevice {
		t.Skip("the driver's words are its own")
	}
	defer b.device.enter()()
	for _, c := range malformed {
		if _, err := b.device.compile(mistake(c.body)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestSimulatorStops: it stops at what a device would fault on, wait for ever at, or give
// results by chance of, each in a process of its own.
func TestSimulatorStops(t *testing.T) {
	if os.Getenv("SULLAE_LIBCUDA") == "" || *onDevice {
		t.Skip("needs the simulated device")
	}
	for i, c := range mistakes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if out, _ := child("^TestSimulatorChild$", "SULLAE_SIM_PTX=1", fmt.Sprint("SULLAE_TEST_MISTAKE=", i)); !strings.Contains(out, c.want) {
				t.Errorf("want %q in:\n%.2000s", c.want, out)
			}
		})
	}
}

// TestSimulatorChild is one process of TestSimulatorStops.
func TestSimulatorChild(t *testing.T) {
	var number int
	if _, err := fmt.Sscan(os.Getenv("SULLAE_TEST_MISTAKE"), &number); err != nil {
		t.Skip("a part of TestSimulatorStops")
	}
	b, err := New(Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	x, err := b.Alloc(64)
	if err != nil {
		t.Fatal(err)
	}
	d := b.device
	module, err := d.compile(mistake(mistakes[number].body))
	if err != nil {
		t.Fatal(err)
	}
	var k uintptr
	name, at := []byte("k\x00"), dev(x).at
	if err := d.call("cuModuleGetFunction", d.cuModuleGetFunction, uintptr(unsafe.Pointer(&k)), module, uintptr(unsafe.Pointer(&name[0]))); err != nil {
		t.Fatal(err)
	}
	args := []uintptr{uintptr(unsafe.Pointer(&at))}
	if err := d.call("cuLaunchKernel", d.cuLaunchKernel, k, 1, 1, 1, 64, 1, 1, 0, d.stream, uintptr(unsafe.Pointer(&args[0])), 0); err != nil {
		t.Fatal(err)
	}
	got := make([]float32, 64)
	if err := b.Download(got, x); err != nil {
		t.Fatal(err)
	}
	words := unsafe.Slice((*uint32)(unsafe.Pointer(&got[0])), 64)
	t.Logf("fine: %d %d", words[0], words[63])
}
