// Package cuda is the Backend for NVIDIA GPUs of compute capability 8.0 and up,
// without cgo and without NVIDIA's toolkit: kernels in src are compiled to PTX by
// clang (go generate) and checked in; the driver, libcuda.so.1, is opened at run
// time and compiles them for the device at hand. Build tag nocuda leaves all of it
// out, and then the binary is static.
//
// Determinism: within its class the same bits for any batch, chunking and number
// of ranks. Along K every leaf of a product is cut into chunks of 512 values; a
// chunk is summed in K order (on tensor cores: by their instruction, 16 values at
// a time; wgmma is used where it adds as mma.sync does), chunks one after the other, leaves
// by the tree. Attention sums every
// fourth position of a chunk of 256, those sums by pairs (on tensor cores: 64 positions
// by themselves, joined in order), and merges chunks in order.
// No sum uses atomics: a counter tells the last block of a tile that the partial sums of
// all are there, which it adds in their order.
//
// Ops on rows that follow one another are held back and done in one pass where that
// changes no bit (rowPass, turn).
//
// Classes: "cuda-f32" takes activations as they are and gives the same bits on
// every device. "cuda-f16-smXY" rounds them to binary16 where weights are of 16 bits, or
// codes in runs, for the tensor cores, whose sums differ from one architecture to the next:
// each 512 values along K relative to their largest, so that none is too large and the
// rounding is 2^-12 of a value, an eighth of bfloat16's. Codes are exact in binary16, and
// sums of a group are multiplied by its scale in float32 (codes.go).
//
// What has run where is in docs/gpu.md.
package cuda

//go:generate sh gen.sh
