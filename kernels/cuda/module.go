//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"unsafe"
)

//go:embed ptx/*.ptx.gz
var ptx embed.FS

// Targets that gen.sh compiles for: sm_80's code runs on every device, sm_90a's on those
// of compute capability 9.0 alone.
const (
	targetAny    = "sm_80"
	targetHopper = "sm_90a"
)

// jitLog is the size of the buffers for what the driver's compiler says.
const jitLog = 16 << 10

// Options of cuModuleLoadDataEx (CUjit_option).
const (
	jitErrorLog     = 5
	jitErrorLogSize = 6
)

// functionMaxShared is the bound of a kernel's dynamic shared memory
// (CUfunction_attribute).
const functionMaxShared = 8

// readPTX unpacks an embedded file, "rows" for "sm_80"; fs.ErrNotExist where it was not
// compiled for the target.
func readPTX(name, target string) ([]byte, error) {
	packed, err := ptx.Open(fmt.Sprintf("ptx/%s.%s.ptx.gz", name, target))
	if err != nil {
		return nil, err
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// ptxNames are the sources that were compiled, in order.
func ptxNames() ([]string, error) {
	files, err := ptx.ReadDir("ptx")
	var names []string
	for _, f := range files { // sorted
		name, _, _ := strings.Cut(f.Name(), ".")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, err
}

// loadKernels compiles the PTX for the device and finds the kernels in it: on Hopper
// those of its own target, where there are any and the driver accepts them; what it says
// of those that it does not is logged. What is wrong with one file does not hide what is
// wrong with another. Kernels that no file for all devices has may be missing (has).
func (d *device) loadKernels(log *slog.Logger) error {
	names, err := ptxNames()
	if err != nil {
		return err
	}
	var faults []error
	for _, name := range names {
		if d.cc == 90 {
			err := d.loadModule(name, targetHopper)
			if err == nil {
				continue
			}
			if !errors.Is(err, fs.ErrNotExist) {
				log.Warn("the driver refuses code for this device; code for all devices is used in its place", "err", err)
			}
		}
		if err := d.loadModule(name, targetAny); !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// has reports whether a kernel was loaded.
func (d *device) has(kernel string) bool { return d.kernels[kernelIndex[kernel]] != 0 }

func (d *device) loadModule(name, target string) error {
	text, err := readPTX(name, target)
	if err != nil {
		return err
	}
	module, err := d.compile(text)
	if err != nil {
		return fmt.Errorf("compile %s.%s.ptx for %s: %w", name, target, d.name, err)
	}
	found := map[int]uintptr{}
	for i, kernel := range kernelNames {
		if !strings.Contains(string(text), ".entry "+kernel+"(") {
			continue
		}
		symbol := append([]byte(kernel), 0)
		var f uintptr
		if err := d.call("cuModuleGetFunction", d.cuModuleGetFunction, uintptr(unsafe.Pointer(&f)), module, uintptr(unsafe.Pointer(&symbol[0]))); err != nil {
			return fmt.Errorf("kernel %s of %s.%s.ptx: %w", kernel, name, target, err)
		}
		if n := kernelShared[kernel]; n > 0 {
			if err := d.call("cuFuncSetAttribute", d.cuFuncSetAttribute, f, functionMaxShared, uintptr(n)); err != nil {
				return fmt.Errorf("kernel %s of %s.%s.ptx: %d bytes of shared memory: %w", kernel, name, target, n, err)
			}
		}
		found[i] = f
	}
	for i, f := range found {
		d.kernels[i], d.targets[i] = f, target
	}
	return nil
}

// compile has the driver compile PTX; the error has what its compiler says. The module is
// the device's.
func (d *device) compile(text []byte) (module uintptr, err error) {
	text = append(text, 0)
	said := make([]byte, jitLog)
	options := []int32{jitErrorLog, jitErrorLogSize}
	values := []uintptr{uintptr(unsafe.Pointer(&said[0])), jitLog}
	err = d.call("cuModuleLoadDataEx", d.cuModuleLoadDataEx, uintptr(unsafe.Pointer(&module)), uintptr(unsafe.Pointer(&text[0])),
		uintptr(len(options)), uintptr(unsafe.Pointer(&options[0])), uintptr(unsafe.Pointer(&values[0])))
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, strings.TrimRight(string(said), "\x00"))
	}
	d.modules = append(d.modules, module)
	return module, nil
}
