// Package cpu is the Backend over host memory: weights packed so that
// consecutive output rows stand in consecutive SIMD lanes, products blocked for
// the caches, paged attention, and the element-wise ops.
//
// Every output element is computed in one order of operations that the shape
// alone decides; the number of threads, the rows in the call and the
// instruction set change the speed, never a bit. A variant (variant.go) is a
// set of inner loops for one instruction set; "portable" is the plain Go twin
// of all of them, bit for bit. All that is around the inner loops (blocking,
// the tree over leaves, the paging) is shared between variants.
//
// NaN is the exception to "every bit": that a result is NaN is the same
// everywhere, its sign and payload are not.
//
// Products of quantized weights and activations (quantweight.go, quantrow.go)
// are exact in integers within a group of 32, so that any instruction may make
// them; the groups' scales are applied in one order.
//
// The variants "avx512vnni", "avxvnni", "avx2" and "portable" are run by the
// tests wherever the CPU has them (docs/kernels.md says where they have run).
//
// The build tag noasm leaves the assembly out.
package cpu

//go:generate go -C _asm run . -set matmul -pkg cpu -out ../matmul_amd64.s -stubs ../matmul_stubs_amd64.go
//go:generate go -C _asm run . -set matmul512 -pkg cpu -out ../matmul512_amd64.s -stubs ../matmul512_stubs_amd64.go
//go:generate go -C _asm run . -set attend -pkg cpu -out ../attend_amd64.s -stubs ../attend_stubs_amd64.go
//go:generate go -C _asm run . -set attend512 -pkg cpu -out ../attend512_amd64.s -stubs ../attend512_stubs_amd64.go
//go:generate go -C _asm run . -set coded -pkg cpu -out ../coded_amd64.s -stubs ../coded_stubs_amd64.go
//go:generate go -C _asm run . -set coded512 -pkg cpu -out ../coded512_amd64.s -stubs ../coded512_stubs_amd64.go
//go:generate go -C _asm run . -set vector -pkg cpu -out ../vector_amd64.s -stubs ../vector_stubs_amd64.go
//go:generate go -C _asm run . -set quant -pkg cpu -out ../quant_amd64.s -stubs ../quant_stubs_amd64.go
//go:generate go -C _asm run . -set quantvnni -pkg cpu -out ../quantvnni_amd64.s -stubs ../quantvnni_stubs_amd64.go
//go:generate go -C _asm run . -vex ../quantvnni_amd64.s
//go:generate go -C _asm run . -set quant512 -pkg cpu -out ../quant512_amd64.s -stubs ../quant512_stubs_amd64.go
//go:generate go -C _asm run . -set pack -pkg cpu -out ../pack_amd64.s -stubs ../pack_stubs_amd64.go
//go:generate go -C _asm run ./neon -out ../neon_arm64.s -stubs ../neon_stubs_arm64.go
