//go:build linux && amd64 && !nocuda

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cuda"
	"github.com/sullae/sullae/kernels/cuda/simtest"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/worker/engine"
)

// deviceFaults are codes after which a device's context is lost: an illegal address, a
// failed launch, an illegal instruction, an uncorrectable ECC error, a device that fell off the bus.
var deviceFaults = []int{700, 719, 715, 214, 999}

const outOfMemory = 2

// TestDeviceLost: whichever call of loading or of a step fails, or kernel while it runs, the
// step ends on this rank with an error that names the code, and on its peer with a
// lost peer; nothing hangs, nothing is left, and a group that is formed again computes
// the same bits. Steps are computed in two parts, whose sums are exchanged beside. By
// default a call of some kinds fails; with -gpu every call, or of two ranks on one device
// every seventh.
func TestDeviceLost(t *testing.T) {
	simtest.Use(t)
	ckpt := modeltest.Open(t, modeltest.Dir(t, "tiny-exaone4-hybrid-8h4kv-bf16"))
	for _, group := range []struct {
		name, variant string
		ranks, every  int
	}{{"beside a healthy one", gpuFirst, 2, 1}, {"one rank", gpuRounded, 1, 1}, {"two on the device", gpuRounded, 2, 7}} {
		if !*onGPU && group.variant != gpuFirst {
			continue
		}
		form := func(t *testing.T) (*cluster, error) {
			return tryStart(t, ckpt, ckpt.Spec(), group.variant, kernels.AsStored, engine.Config{Parts: 2, PartRows: 8}, capacities(group.ranks)...)
		}
		t.Run(group.name, func(t *testing.T) {
			want, n := "", map[string]int{}
			whole := func(t *testing.T) {
				simtest.Repair(t)
				c, err := form(t)
				if err != nil {
					t.Fatal(err)
				}
				print, errs := c.serve()
				if err := errors.Join(errs...); err != nil {
					t.Fatal(err)
				}
				if want == "" {
					want = print
				} else if print != want {
					t.Error("other bits after a lost device")
				}
				for _, call := range fallible {
					n[call] = simtest.Calls(t, call)
				}
			}
			t.Run("before", whole)
			for i, call := range fallible {
				if n[call] == 0 && group.ranks > 1 {
					t.Errorf("%s is not called", call)
				}
				first, every := 1, group.every
				if !*onGPU {
					if i%2 == 1 {
						continue
					}
					first, every = 1+n[call]*2/3, n[call]
				}
				for nth := first; nth <= n[call]; nth += every {
					code := deviceFaults[nth%len(deviceFaults)]
					if strings.Contains(call, "Alloc") && nth%2 == 1 {
						code = outOfMemory
					}
					t.Run(fmt.Sprintf("%s %d of %d, code %d", call, nth, n[call], code), func(t *testing.T) { lose(t, form, call, nth, code) })
				}
			}
			t.Run("after", whole)
		})
	}
}

// fallible are calls of loading and of steps.
var fallible = []string{"kernel", "cuLaunchKernel", "cuLaunchKernelEx", "cuEventSynchronize", "cuGraphLaunch", "cuMemAlloc", "cuMemHostAlloc",
	"cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuStreamWaitEvent", "cuEventRecord", "cuStreamSynchronize", "cuMemsetD8Async", "cuEventCreate"}

// lose has one call fail and sees how the ranks end.
func lose(t *testing.T, form func(*testing.T) (*cluster, error), call string, nth, code int) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { // behind the cluster's own
		if left := simtest.Left(t); left != 0 {
			t.Errorf("%d bytes, graphs and events are left on the device", left)
		}
		goleak.VerifyNone(t, leaks)
	})
	simtest.Fail(t, call, nth, code)
	c, err := form(t)
	named := func(err error) bool {
		failed := (*cuda.Error)(nil)
		return errors.As(err, &failed) && failed.Code == code
	}
	if err != nil {
		if !named(err) {
			t.Errorf("loading: %v", err)
		}
		return
	}
	_, errs := c.serve()
	for r, err := range errs {
		gpu, ok := c.devices[r].(*cuda.Backend)
		switch {
		case err == nil, errors.Is(err, context.DeadlineExceeded):
			t.Errorf("rank %d: %v", r, err)
		case ok && named(err):
			if code != outOfMemory && gpu.Lost() == nil {
				t.Errorf("rank %d: %v, but the device is not said to be lost", r, err)
			}
		case len(errs) > 1 && (errors.Is(err, collective.ErrPeerLost) || errors.Is(err, collective.ErrClosed)):
		default:
			t.Errorf("rank %d: %v", r, err)
		}
	}
	if len(errs) == 0 {
		t.Error("nothing failed")
	}
}

// serve computes a prompt, in parts, and some tokens after it, as workers do: a rank that fails closes
// its links. The errors are the ranks', the print what rank 0 came to.
func (c *cluster) serve() (print string, errs []error) {
	q := newSeq(1, prompt(1, 30), greedy)
	started := []engine.NewSequence{q.NewSequence}
	for count := 30; len(q.Tokens) < 33; count = 1 {
		p := c.part(q, count)
		c.step++
		results, errs := c.try(engine.Step{Epoch: 1, ID: c.step, Started: started, Sequences: []engine.SequenceStep{p}})
		if errors.Join(errs...) != nil {
			return "", errs
		}
		q.take(results[0].Sequences[0], p)
		started = nil
	}
	return fmt.Sprintf("%x", q.fingerprint()), nil
}

// try executes a step on all ranks.
func (c *cluster) try(s engine.Step) ([]engine.Result, []error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	results, errs := make([]engine.Result, len(c.engines)), make([]error, len(c.engines))
	var ranks sync.WaitGroup
	for r, e := range c.engines {
		ranks.Go(func() {
			if results[r], errs[r] = e.Step(ctx, s); errs[r] != nil {
				c.comms[r].Close()
			}
		})
	}
	ranks.Wait()
	return results, errs
}
