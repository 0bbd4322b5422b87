//go:build linux && amd64 && !nocuda

package cuda

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// TestResources prints (-test.v) what the driver's compiler made of each kernel, one JSON
// object a line, and holds it to what its launches need.
func TestResources(t *testing.T) {
	b := open(t, Config{})
	d := b.device
	defer d.enter()()
	forHopper := map[string]bool{}
	names, err := ptxNames()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, _ := readPTX(name, targetHopper) // not all are
		for _, part := range strings.Split(string(text), ".entry ")[1:] {
			kernel, _, _ := strings.Cut(part, "(")
			forHopper[kernel] = true
		}
	}
	for i, name := range kernelNames {
		if d.cc == 90 && forHopper[name] && d.targets[i] != targetHopper {
			t.Errorf("the driver refuses the code of %s for this device", name)
		}
		if !d.has(name) {
			continue
		}
		// CUfunction_attribute
		var threads, shared, local, registers int32
		for a, to := range map[uintptr]*int32{0: &threads, 1: &shared, 3: &local, 4: &registers} {
			if err := d.call("cuFuncGetAttribute", d.cuFuncGetAttribute, uintptr(unsafe.Pointer(to)), a, d.kernels[i]); err != nil {
				t.Fatal(err)
			}
		}
		if want := kernelThreads[name]; int(threads) < want {
			t.Errorf("%s can have %d threads a block, %d are launched", name, threads, want)
		}
		line, _ := json.Marshal(map[string]any{"kernel": name, "target": d.targets[i], "registers": registers, "spilled_bytes": local, "shared_bytes": int(shared) + kernelShared[name]})
		if testing.Verbose() {
			fmt.Println(string(line))
		}
	}
}
