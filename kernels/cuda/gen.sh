#!/bin/sh
# Compiles the kernels to PTX. Needs clang 19 (Debian: clang-19).
# Contraction is off: fused multiply-adds are written out. sm_80 code runs on
# every later device; the driver compiles it for the one at hand.
set -eu
cd "$(dirname "$0")"
for name in rows matmul attention; do
	"${CLANG:-clang++-19}" -x cuda --cuda-device-only -nocudainc -nocudalib -O3 -S -std=c++17 -ffreestanding \
		-ffp-contract=off --cuda-feature=+ptx80 --cuda-gpu-arch=sm_80 "src/$name.cu" -o "ptx/$name.ptx"
done
