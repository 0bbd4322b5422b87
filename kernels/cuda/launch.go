//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// threads of a block, by kernel: its launch bounds.
var kernelThreads = map[string]int{
	"gather": 256, "gather_coded": 256, "pass_rows": 256, "pass_long_rows": 1024, "add": 256, "add_bias": 256, "scale": 256, "soft_cap": 256,
	"silu_mul": 256, "gelu_mul": 256, "exp_sums": 256,
	"matmul_f32_1": 128, "matmul_f32_8": 128, "matmul_bf16_1": 128, "matmul_bf16_8": 128, "matmul_f16_1": 128, "matmul_f16_8": 128,
	"matmul_i8_1": 128, "matmul_i8_8": 128, "matmul_u4_1": 128, "matmul_u4_8": 128, "matmul_f8_1": 128, "matmul_f8_8": 128,
	"matmul_mma_8": 128, "matmul_mma_16": 128, "matmul_mma_32": 128, "matmul_mma_64": 128, "matmul_mma_128": 256,
	"matmul_q8_1": 128, "matmul_q8_8": 128, "matmul_q8_16": 128, "matmul_q4_1": 128, "matmul_q4_8": 128, "matmul_q4_16": 128, "matmul_q8_64": 256, "matmul_q4_64": 256, "fold": 256,
	"matmul_codes_u4_8": 128, "matmul_codes_u4_16": 128, "matmul_codes_u4_32": 256, "matmul_codes_u4_64": 256, "matmul_codes_u4_tree": 256,
	"matmul_codes_i8_8": 128, "matmul_codes_i8_16": 128, "matmul_codes_i8_32": 256, "matmul_codes_i8_64": 256, "matmul_codes_i8_tree": 256,
	"matmul_codes_f8_8": 128, "matmul_codes_f8_16": 128, "matmul_codes_f8_32": 256, "matmul_codes_f8_64": 256, "matmul_codes_f8_tree": 256,
	"rope": 64, "write_kv": 64, "rope_write": 64, "attend": 128, "attend_mma": 128, "attend_mma_f16": 128, "attend_merge": 128,
	"probe_mma": 256, "probe_fma": 256, "probe_mma_s8": 256, "probe_nothing": 32,
	"matmul_wgmma_128": 320, "matmul_wgmma_192": 384, "matmul_wgmma_tree": 384, "probe_wgmma": 256,
}

// kernelShared is the dynamic shared memory of a block, in bytes, of kernels that need more
// than the 48 KiB that static arrays may have.
var kernelShared = map[string]int{"matmul_wgmma_128": 6 * wideStage(128), "matmul_wgmma_192": 5 * wideStage(192), "matmul_wgmma_tree": 5*wideStage(128) + sharedLevels*wideSums, "probe_wgmma": 16 << 10,
	"matmul_codes_u4_tree": codesSums, "matmul_codes_i8_tree": codesSums, "matmul_codes_f8_tree": codesSums}

// kernelNames are all kernels, in the order of device.kernels; kernelIndex is where
// each is.
var kernelNames, kernelIndex = func() ([]string, map[string]int) {
	names, index := slices.Sorted(maps.Keys(kernelThreads)), map[string]int{}
	for i, n := range names {
		index[n] = i
	}
	return names, index
}()

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
