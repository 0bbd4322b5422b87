#!/bin/sh
# On a machine with a GPU and its driver: correctness first, then figures beside the
# limits measured in the same run, one JSON object a line. `make gpu-test` puts this
# beside the binaries that it calls.
#
#	run [DEVICE]        cuda:0 unless said otherwise
#
# PRESET and the other upper-case words below may be set in the environment; a small
# preset tries the script itself.
set -eu
cd "$(dirname "$0")"
device=${1:-cuda:0}
failed=0 # figures are printed all the same
: "${PRESET:=exaone-3.0-7.8b}" "${PROMPT:=4096}" "${DECODE:=64}" "${CONTEXT:=1024}" "${BATCH:=1,256}"
# The kernels, against the reference and among themselves; golden models on 1, 2 and 4
# workers, whose bits must be the same; products by shape.
if [ -z "${SKIP_TESTS:-}" ]; then
	./cuda.test -cuda >&2 || failed=1
	./engine.test -test.run GPU -gpu -golden golden >&2 || failed=1
	./cuda.test -cuda -test.run '^$' -test.bench . -test.benchtime 300x >&2
fi
model() { ./sullae bench model --device "$device" --preset "$PRESET" --kv-type bf16 --json "$@" | tr -d '\n'; echo; }
# Prefill, and decode alone and of many: products and reads beside the limits; 4-bit
# weights beside bfloat16.
model --quant none,q4 --prompt "$PROMPT" --decode "$DECODE" --context "$CONTEXT" --batch "$BATCH"
# Two workers on the one GPU over gRPC: what a step costs beyond the above.
model --quant none --prompt "$PROMPT" --decode "$DECODE" --context "$CONTEXT" --batch 1 --ranks 2
exit $failed
