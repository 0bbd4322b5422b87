#!/bin/sh
# On a machine with a GPU and its driver: correctness first, then figures beside the
# limits measured in the same run. On stdout are JSON objects, one a line: each stage's end
# ({"stage":...,"ok":...,"seconds":...}) and the figures; on stderr what tests say. `make
# gpu-test` puts this beside the binaries that it calls. Nothing else is needed but a
# POSIX shell, awk and timeout (coreutils or busybox).
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
: "${PRESET:=exaone-3.0-7.8b}" "${PROMPT:=4096}" "${DECODE:=64}" "${CONTEXT:=1024}" "${BATCH:=256}" "${BENCHTIME:=100x}" "${GOLDEN:=90}" "${LIMIT:=480}" "${STAGES:=*}"
on=-cuda
[ -z "${SULLAE_LIBCUDA:-}" ] || on=
began=$(date +%s)
failed=0
work=$(mktemp -d) || exit
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# The driver compiles the kernels in the first stage; later ones find them here.
export CUDA_CACHE_PATH="${CUDA_CACHE_PATH:-$work/cache}"

# stage NAME LIMIT COMMAND...: its output goes to stderr, but for objects of JSON.
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
	{ timeout -k 5 "$limit" "$@" 2>&1; echo $? >"$work/status"; } | awk '
		/^\{$/ { object = ""; inside = 1 }
		inside { end = /^\}$/; sub(/^ +/, ""); object = object $0; if (end) { print object; inside = 0 } next }
		/^\{.*\}$/ { print; next }
		{ print > "/dev/stderr" }' | tee "$work/$name.json"
	read -r code <"$work/status"
	if [ "$code" = 0 ]; then ok=true; else ok=false failed=1; fi
	echo "{\"stage\":\"$name\",\"ok\":$ok,\"exit\":$code,\"seconds\":$(($(date +%s) - now))}"
}
kernels() {
	name=$1 limit=$2 tests=$3
	stage "kernels $name" "$limit" ./cuda.test $on -test.run "$tests" -test.timeout "${limit}s"
}
golden() {
	stage "golden $1" "$GOLDEN" ./engine.test -test.run "TestGPUGolden/$1" -gpu -test.v -test.timeout "${GOLDEN}s" -golden golden
}
model() {
	name=$1 limit=$2
	shift 2
	stage "model $name" "$limit" ./sullae bench model --device "$device" --preset "$PRESET" --kv-type bf16 --decode "$DECODE" --context "$CONTEXT" --json "$@"
}
# figure STAGE BATCH NAME: of the decoding of a stage's run; nothing if there is none.
figure() {
	tr -d ' ' 2>/dev/null <"$work/$1.json" | awk -v batch="\"batch\":$2," -v name="\"$3\":" '{
		n = split($0, results, /"phase":/)
		for (i = 2; i <= n; i++) if (index(results[i], "\"decode\"") == 1 && index(results[i], batch) && (at = index(results[i], name))) {
			print substr(results[i], at + length(name)) + 0
			exit
		}
	}'
}
# beside WHAT BATCH OURS OTHER FIGURE: one figure of two stages, and how much the first is of the second.
beside() {
	ours=$(figure "$3" "$2" "$5") other=$(figure "$4" "$2" "$5")
	[ -z "$ours" ] || [ -z "$other" ] || awk -v what="$1" -v batch="$2" -v figure="$5" -v ours="$ours" -v other="$other" 'BEGIN {
		if (other > 0) printf "{\"ratio\":\"%s\",\"batch\":%d,\"figure\":\"%s\",\"of\":%.6g,\"to\":%.6g,\"ratio_of\":%.4g}\n", what, batch, figure, ours, other, ours / other
	}'
}
# pytorch: the same shapes by PyTorch with CUDA graphs, where that is installed.
pytorch() {
	if [ -n "$on" ] && timeout 60 python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
		stage pytorch 120 python3 torch_decode.py --device "$device" --batch 1 "$BATCH" --context $((CONTEXT + DECODE / 2)) --steps "$DECODE"
	else
		stage pytorch 120 echo '{"pytorch":null,"skipped":"no PyTorch with CUDA on this machine"}'
	fi
}

# What the driver's compiler makes of each kernel: registers, spilled bytes.
stage resources 120 ./cuda.test $on -test.run TestResources -test.v
# The kernels, against the reference and among themselves.
kernels elements 60 'TestAll/./^(Gather|Add|AddBias|Scale|SoftCap|RMSNorm|Rope|SiLUMul|GELUMul|ExpSums)$'
kernels products 60 'TestAll/./^MatMul$/^(F32|BF16|F16)$'
kernels 'products of codes' 60 'TestAll/./^MatMul$/^[^FB]'
kernels attention 60 'TestAll/./^Attention$'
kernels rules 60 'TestAll/./^rule$'
kernels steps 60 'TestManyRows|TestWide|TestFold|TestFused|TestGraphs|TestArgs|TestCopier'
# Golden models on 1, 2 and 4 workers, whose bits must be the same.
golden rounded
stage quantized 60 ./engine.test -test.run TestGPUQuantized -gpu -test.v -test.timeout 60s
golden exact
# Prefill and decode alone, bfloat16 and 4 bits; decode of many; two workers on the one
# GPU over gRPC: what a step costs beyond one worker's.
model none 120 --quant none --prompt "$PROMPT" --batch 1
model q4 120 --quant q4 --prompt "$PROMPT" --batch 1
beside 'q4 to none' 1 'model q4' 'model none' tokens_per_second
model many 150 --quant none --prompt 512 --batch "$BATCH"
pytorch
for batch in 1 "$BATCH"; do
	with='model none'
	[ "$batch" = 1 ] || with='model many'
	beside 'none to PyTorch' "$batch" "$with" pytorch tokens_per_second
done
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
