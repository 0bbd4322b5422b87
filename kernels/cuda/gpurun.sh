#!/bin/sh
# On a machine with a GPU and its driver: correctness first, then figures beside the
# limits measured in the same run. On stdout are JSON objects, one a line: each stage's end
# ({"stage":...,"ok":...,"seconds":...}) and the figures; on stderr what tests say. `make
# gpu-test` puts this beside the binaries that it calls.
#
#	run [DEVICE]        cuda:0 unless said otherwise
#
# Each stage is a process of its own with a time limit: one that fails, or leaves the
# device broken, does not keep the others from being run. The whole takes at most
# LIMIT seconds: stages that would begin later are left out, and said.
#
# PRESET and the other upper-case words below may be set in the environment. With
# SULLAE_LIBCUDA, a simulated libcuda, the kernels' tests are those for it; STAGES says
# which stages are run (a pattern of case).
set -u
cd "$(dirname "$0")"
device=${1:-cuda:0}
: "${PRESET:=exaone-3.0-7.8b}" "${PROMPT:=4096}" "${DECODE:=64}" "${CONTEXT:=1024}" "${BATCH:=256}" "${BENCHTIME:=100x}" "${LIMIT:=480}" "${STAGES:=*}"
on=-cuda
[ -z "${SULLAE_LIBCUDA:-}" ] || on=
began=$(date +%s)
failed=0

# stage NAME LIMIT COMMAND...: its output goes to stderr, but for lines of JSON.
stage() {
	name=$1 limit=$2
	shift 2
	# shellcheck disable=SC2254 # a pattern
	case $name in $STAGES) ;; *) return ;; esac
	now=$(date +%s)
	left=$((LIMIT - now + began))
	if [ $left -lt 10 ]; then
		echo "{\"stage\":\"$name\",\"ok\":false,\"left_out\":true}"
		failed=1
		return
	fi
	[ $left -gt "$limit" ] || limit=$left
	echo "== $name" >&2
	{ timeout -k 5 "$limit" "$@" 2>&1 && echo ok >status || echo "failed $?" >status; } | awk '
		/^\{$/ { object = ""; inside = 1 }
		inside { end = /^\}$/; sub(/^ +/, ""); object = object $0; if (end) { print object; inside = 0 } next }
		/^\{.*\}$/ { print; next }
		{ print > "/dev/stderr" }'
	if [ "$(cat status)" = ok ]; then ok=true; else ok=false failed=1; fi
	echo "{\"stage\":\"$name\",\"ok\":$ok,\"status\":\"$(cat status)\",\"seconds\":$(($(date +%s) - now))}"
	rm -f status
}
kernels() {
	name=$1 limit=$2 tests=$3
	stage "kernels $name" "$limit" ./cuda.test $on -test.run "$tests" -test.timeout "${limit}s"
}
model() {
	name=$1 limit=$2
	shift 2
	stage "model $name" "$limit" ./sullae bench model --device "$device" --preset "$PRESET" --kv-type bf16 --decode "$DECODE" --context "$CONTEXT" --json "$@"
}

# What the driver's compiler makes of each kernel: registers, spilled bytes.
stage resources 60 ./cuda.test $on -test.run TestResources -test.v
# The kernels, against the reference and among themselves.
kernels elements 60 'TestAll/./^(Gather|Add|AddBias|Scale|SoftCap|RMSNorm|Rope|SiLUMul|GELUMul|ExpSums)$'
kernels products 60 'TestAll/./^MatMul$/^(F32|BF16|F16)$'
kernels 'products of codes' 60 'TestAll/./^MatMul$/^[^FB]'
kernels attention 60 'TestAll/./^Attention$'
kernels rules 60 'TestAll/./^rule$'
kernels steps 60 'TestManyRows|TestWide|TestFold|TestFused|TestGraphs|TestArgs|TestCopier'
# Golden models on 1, 2 and 4 workers, whose bits must be the same.
stage 'golden rounded' 60 ./engine.test -test.run 'TestGPUGolden/rounded' -gpu -test.short -test.v -golden golden
stage quantized 60 ./engine.test -test.run TestGPUQuantized -gpu -test.v
stage 'golden exact' 60 ./engine.test -test.run 'TestGPUGolden/exact' -gpu -test.short -test.v -golden golden
# Prefill and decode alone, bfloat16 and 4 bits; decode of many; two workers on the one
# GPU over gRPC: what a step costs beyond one worker's.
model none 120 --quant none --prompt "$PROMPT" --batch 1
model q4 120 --quant q4 --prompt "$PROMPT" --batch 1
model many 150 --quant none --prompt 512 --batch "$BATCH"
model 'two workers' 120 --quant none --prompt "$PROMPT" --batch 1 --ranks 2
model 'q4 many' 150 --quant q4 --prompt 512 --batch "$BATCH"
# Decode with launches that follow one another.
export SULLAE_CUDA_PDL=0
model 'none, no overlap' 90 --quant none --prompt 512 --batch 1
model 'q4, no overlap' 90 --quant q4 --prompt 512 --batch 1
unset SULLAE_CUDA_PDL
# Products by shape.
stage 'products by shape' 90 ./cuda.test $on -test.run '^$' -test.bench . -test.benchtime "$BENCHTIME"
exit $failed
