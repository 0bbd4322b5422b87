#!/bin/sh
# Compiles the kernels to PTX. Needs clang 19 (Debian: clang-19).
# Contraction is off: fused multiply-adds are written out. sm_80 code runs on
# every later device; the driver compiles it for the one at hand. Loops are kept
# small, and comments left out: the driver unrolls by itself. zcat shows the result.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
for name in rows matmul attention attend_mma probes; do
	"${CLANG:-clang++-19}" -x cuda --cuda-device-only -nocudainc -nocudalib -O3 -S -std=c++17 -ffreestanding -fno-verbose-asm \
		-ffp-contract=off --cuda-feature=+ptx80 --cuda-gpu-arch=sm_80 -mllvm -unswitch-threshold=0 "src/$name.cu" -o - |
		sed -e '/^\t\/\/ /d' -e 's/[ \t]*\/\/.*$//' -e '1s/^$/\/\/ Made of src by gen.sh./' | gzip -9n >"ptx/$name.ptx.gz"
done
cat gen.sh src/* | sha256sum | cut -d ' ' -f 1 >ptx/sources.sum
