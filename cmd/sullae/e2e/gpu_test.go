//go:build linux && amd64 && !nocuda

package e2e

import (
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/sullae/sullae/kernels/cuda/simtest"
)

// TestGPUWorkers: workers on a (simulated) GPU give the same bits whatever their
// number and also when the device is lost half-way, and in float32 nearly those of
// the CPU.
func TestGPUWorkers(t *testing.T) {
	long(t)
	simtest.Use(t)
	ask := func(args ...string) (completion, string) {
		p := up(t, args...)
		defer p.stop(syscall.SIGTERM)
		c, err := p.complete(map[string]any{"model": p.model, "prompt": "The capital of Korea is", "max_tokens": 8, "temperature": 0, "logprobs": 2, "ignore_eos": true, "return_token_ids": true})
		if err != nil {
			t.Fatalf("%v\n%s", err, p.log)
		}
		return c, p.log.String()
	}
	onCPU, _ := ask("--device", "cpu", "--workers", "1")
	exact, log := ask("--device", "cuda", "--cuda-exact", "--workers", "1")
	if !strings.Contains(log, "simulated device") {
		t.Fatalf("the workers do not compute on the device:\n%s", log)
	}
	for i, want := range onCPU.Choices[0].Logprobs.TokenLogprobs {
		if got := exact.Choices[0].Logprobs.TokenLogprobs[i]; *got-*want > 1e-3 || *want-*got > 1e-3 {
			t.Errorf("token %d: log-probability %v, on the CPU %v", i, *got, *want)
		}
	}
	rounded, _ := ask("--device", "cuda", "--workers", "1")
	three, _ := ask("--device", "cuda", "--workers", "3")
	if !reflect.DeepEqual(three.Choices, rounded.Choices) {
		t.Error("3 workers give other bits than 1")
	}
	// Each worker's device faults at its 60th launch, and that of the worker which
	// is started in its place, too; the answer needs more.
	t.Setenv("SULLAE_SIM_FAIL", "cuLaunchKernel:60:700")
	lost, log := ask("--device", "cuda", "--workers", "2")
	if !reflect.DeepEqual(lost.Choices, rounded.Choices) {
		t.Error("after a lost device the bits are others")
	}
	if !strings.Contains(log, "the device is lost") || !strings.Contains(log, "CUDA_ERROR_ILLEGAL_ADDRESS") {
		t.Errorf("no device was lost:\n%s", log)
	}
}
