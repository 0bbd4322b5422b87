#!/bin/sh
# Compiles the kernels to PTX. Needs clang 19 (Debian: clang-19).
# Contraction is off: fused multiply-adds are written out. The driver compiles it for
# the device at hand: sm_80 code for every later one, sm_90a code, in which are
# instructions that Hopper alone has, for compute capability 9.0. Loops are kept small, and
# comments left out: the driver unrolls by itself. Kernels of which a multiprocessor runs one
# block are clusters of two. zcat shows the result.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
compile() {
	target=$1
	shift
	for name in "$@"; do
		"${CLANG:-clang++-19}" -x cuda --cuda-device-only -nocudainc -nocudalib -O3 -S -std=c++17 -ffreestanding -fno-verbose-asm \
			-ffp-contract=off --cuda-feature=+ptx80 --cuda-gpu-arch="$target" -mllvm -unswitch-threshold=0 "src/$name.cu" -o - |
			sed -e '/^\t\/\/ /d' -e 's/[ \t]*\/\/.*$//' -e '1s/^$/\/\/ Made of src by gen.sh./' \
				-e 's/^\.minnctapersm 1$/&\n.explicitcluster\n.reqnctapercluster 2, 1, 1/' | gzip -9n >"ptx/$name.$target.ptx.gz"
	done
}
rm -f ptx/*.gz
all="rows matmul quant codes attention attend_mma probes"
compile sm_80 $all
compile sm_90a $all wgmma
cat gen.sh src/* | sha256sum | cut -d ' ' -f 1 >ptx/sources.sum
