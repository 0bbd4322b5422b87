//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"unsafe"
)

//go:embed ptx/*.ptx.gz
var ptx embed.FS

// threads of a block, by kernel: its launch bounds.
var kernelThreads = map[string]int{
	"gather": 256, "gather_coded": 256, "pass_rows": 256, "pass_long_rows": 1024, "add": 256, "add_bias": 256, "scale": 256, "soft_cap": 256,
	"silu_mul": 256, "gelu_mul": 256, "exp_sums": 256,
	"matmul_f32_1": 128, "matmul_f32_8": 128, "matmul_bf16_1": 128, "matmul_bf16_8": 128, "matmul_f16_1": 128, "matmul_f16_8": 128,
	"matmul_i8_1": 128, "matmul_i8_8": 128, "matmul_u4_1": 128, "matmul_u4_8": 128, "matmul_f8_1": 128, "matmul_f8_8": 128,
	"matmul_mma_8": 128, "matmul_mma_16": 128, "matmul_mma_32": 128, "matmul_mma_64": 128, "matmul_mma_128": 256,
	"matmul_q8_1": 128, "matmul_q8_8": 128, "matmul_q4_1": 128, "matmul_q4_8": 128, "matmul_q8_64": 256, "matmul_q4_64": 256, "fold": 256,
	"rope": 64, "write_kv": 64, "rope_write": 64, "attend": 128, "attend_mma": 128, "attend_mma_f16": 128, "attend_merge": 128,
	"probe_mma": 256, "probe_fma": 256, "probe_mma_s8": 256, "probe_nothing": 32,
}

// kernelNames are all kernels, in the order of device.kernels; kernelIndex is where
// each is.
var kernelNames, kernelIndex = func() ([]string, map[string]int) {
	names, index := slices.Sorted(maps.Keys(kernelThreads)), map[string]int{}
	for i, n := range names {
		index[n] = i
	}
	return names, index
}()

// jitLog is the size of the buffers for what the driver's compiler says.
const jitLog = 16 << 10

// Options of cuModuleLoadDataEx (CUjit_option).
const (
	jitErrorLog     = 5
	jitErrorLogSize = 6
)

// readPTX unpacks an embedded file.
func readPTX(name string) ([]byte, error) {
	packed, err := ptx.Open("ptx/" + name)
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

// loadKernels compiles the PTX for the device and finds every kernel in it. What is wrong
// with one file does not hide what is wrong with another.
func (d *device) loadKernels() error {
	files, err := ptx.ReadDir("ptx")
	if err != nil {
		return err
	}
	var faults []error
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".gz") {
			faults = append(faults, d.loadModule(f.Name()))
		}
	}
	for i, name := range kernelNames {
		if d.kernels[i] == 0 && errors.Join(faults...) == nil {
			return fmt.Errorf("kernel %s is not in the embedded PTX: run go generate", name)
		}
	}
	return errors.Join(faults...)
}

func (d *device) loadModule(file string) error {
	text, err := readPTX(file)
	if err != nil {
		return err
	}
	text = append(text, 0)
	said := make([]byte, jitLog)
	options := []int32{jitErrorLog, jitErrorLogSize}
	values := []uintptr{uintptr(unsafe.Pointer(&said[0])), jitLog}
	var module uintptr
	err = d.call("cuModuleLoadDataEx", d.cuModuleLoadDataEx, uintptr(unsafe.Pointer(&module)), uintptr(unsafe.Pointer(&text[0])),
		uintptr(len(options)), uintptr(unsafe.Pointer(&options[0])), uintptr(unsafe.Pointer(&values[0])))
	if err != nil {
		return fmt.Errorf("compile %s for %s: %w\n%s", strings.TrimSuffix(file, ".gz"), d.name, err, strings.TrimRight(string(said), "\x00"))
	}
	d.modules = append(d.modules, module)
	for i, name := range kernelNames {
		if !strings.Contains(string(text), ".entry "+name+"(") {
			continue
		}
		symbol := append([]byte(name), 0)
		var k uintptr
		if err := d.call("cuModuleGetFunction", d.cuModuleGetFunction, uintptr(unsafe.Pointer(&k)), module, uintptr(unsafe.Pointer(&symbol[0]))); err != nil {
			return fmt.Errorf("kernel %s: %w", name, err)
		}
		d.kernels[i] = k
	}
	return nil
}

// note keeps the first error; Sync returns it.
func (b *Backend) note(err error) {
	if b.err == nil {
		b.err = err
	}
}

func f32(f float32) uint64 { return uint64(math.Float32bits(f)) }

func must(ok bool, op, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf("cuda: "+op+": "+format, args...))
	}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
