//go:build linux && amd64 && !nocuda

package e2e

import (
	"flag"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

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

var gpuLost = flag.Bool("gpu-lost", false, "run TestGPULost")

// TestGPULost: of two workers one's device is lost, in the course of a prompt that is computed
// in parts or of the tokens after it. The coordinator is told the reason, the worker ends with it,
// one takes its place, and the answer's bits are the same.
func TestGPULost(t *testing.T) {
	if !*gpuLost {
		t.Skip("long: -gpu-lost")
	}
	simtest.Use(t)
	var prompt []int
	for i := range 300 {
		prompt = append(prompt, 700+i*37%1000)
	}
	ask := func(t *testing.T) (*process, completion) {
		p := up(t, "--device", "cuda", "--workers", "2")
		c, err := p.complete(map[string]any{"model": p.model, "prompt": prompt, "max_tokens": 4, "temperature": 0, "logprobs": 2, "ignore_eos": true, "return_token_ids": true})
		if err != nil {
			t.Fatalf("%v\n%s", err, p.log)
		}
		return p, c
	}
	_, want := ask(t)
	for _, f := range []struct{ fault, says string }{
		{"kernel:40:214", "CUDA_ERROR_ECC_UNCORRECTABLE (214)"},
		{"cuEventSynchronize:150:999", "cuEventSynchronize: CUDA_ERROR_UNKNOWN (999)"},
		{"cuStreamWaitEvent:12:719", "cuStreamWaitEvent: CUDA_ERROR_LAUNCH_FAILED (719)"},
		{"cuEventRecord:200:719", "cuEventRecord: CUDA_ERROR_LAUNCH_FAILED (719)"},
	} {
		t.Run(f.fault, func(t *testing.T) {
			t.Setenv("SULLAE_SIM_FAIL", f.fault)
			t.Setenv("SULLAE_SIM_ONCE", filepath.Join(t.TempDir(), "lost"))
			p, got := ask(t)
			if !reflect.DeepEqual(got.Choices, want.Choices) {
				t.Error("after a lost device the bits are others")
			}
			log := p.log.String()
			if n := strings.Count(log, "the device is lost"); n != 1 || !strings.Contains(log, f.says) {
				t.Errorf("%d devices were lost, want one with %q:\n%s", n, f.says, log)
			}
			if !slices.ContainsFunc(strings.Split(log, "\n"), func(line string) bool {
				return strings.Contains(line, `msg="epoch ended"`) && strings.Contains(line, f.says)
			}) {
				t.Errorf("the coordinator was not told %q:\n%s", f.says, log)
			}
			eventually(t, 20*time.Second, "two workers serve again", func() bool {
				_, after, _ := strings.Cut(p.log.String(), "the device is lost")
				_, after, _ = strings.Cut(after, "computing on a GPU")
				return strings.Contains(after, "epoch serving") && strings.Contains(after, "workers=2")
			})
		})
	}
}
