package engine_test

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/digest"
	memlink "github.com/sullae/sullae/collective/link/mem"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/kernels/cuda"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/modeltest"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/worker/engine"
	"github.com/sullae/sullae/worker/sample"
)

// cluster is a group of ranks in one process over in-memory links.
type cluster struct {
	t       testing.TB
	engines []*engine.Engine
	comms   []collective.Communicator
	devices []kernels.Backend
	step    uint64
	blocks  int32 // next free KV block: sequences never give theirs back
	// longAfter is the model's Rope.LongAfter.
	longAfter int
	groups    int // of layers, each with blocks of its own; 0 is one
}

// stepTime bounds a step; a simulated GPU takes long over one.
const stepTime = 10 * time.Minute

const (
	testBlocks    = 2000
	testBlockSize = 16
)

// start loads a model on one rank per capacity.
func start(t testing.TB, ckpt *checkpoint.Checkpoint, variant string, capacities ...float64) *cluster {
	t.Helper()
	return startAs(t, ckpt, variant, kernels.AsStored, kernels.KVF32, capacities...)
}

// startAs is start with weights in a format, and keys and values of a type.
func startAs(t testing.TB, ckpt *checkpoint.Checkpoint, variant string, format kernels.Format, kv kernels.KVType, capacities ...float64) *cluster {
	t.Helper()
	return startSpec(t, ckpt, ckpt.Spec(), variant, format, kv, capacities...)
}

// startSpec is startAs for another description of the checkpoint.
func startSpec(t testing.TB, ckpt *checkpoint.Checkpoint, spec *model.Spec, variant string, format kernels.Format, kv kernels.KVType, capacities ...float64) *cluster {
	t.Helper()
	return startCut(t, ckpt, spec, variant, format, engine.Config{KVType: kv}, capacities...)
}

// startCut is startSpec with what cfg says of keys and values and of parts.
func startCut(t testing.TB, ckpt *checkpoint.Checkpoint, spec *model.Spec, variant string, format kernels.Format, cfg engine.Config, capacities ...float64) *cluster {
	t.Helper()
	c, err := tryStart(t, ckpt, spec, variant, format, cfg, capacities...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tryStart is startCut for a device that may fail.
func tryStart(t testing.TB, ckpt *checkpoint.Checkpoint, spec *model.Spec, variant string, format kernels.Format, cfg engine.Config, capacities ...float64) (*cluster, error) {
	t.Helper()
	p, err := plan.Make(plan.UnitsOf(spec), capacities)
	if err != nil {
		return nil, err
	}
	c := &cluster{t: t, longAfter: spec.Rope.LongAfter(), groups: len(spec.KVGroups().Windows)}
	comms, _ := memlink.New(len(capacities), memlink.Options{Tuning: collective.Tuning{Timeout: stepTime}})
	for r, comm := range comms {
		t.Cleanup(func() { comm.Close() })
		b, err := newBackend(variant, r)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { b.Close() })
		m, err := engine.Load(t.Context(), engine.LoadConfig{Backend: b, Spec: spec, Plan: p, Rank: r, Source: ckpt, Format: format})
		if err != nil {
			return nil, err
		}
		t.Cleanup(m.Free)
		cfg := cfg
		cfg.Model, cfg.Backend, cfg.Comm, cfg.Epoch, cfg.Blocks, cfg.BlockSize = m, b, comm, 1, testBlocks, testBlockSize
		e, err := engine.New(cfg)
		if err != nil {
			return nil, err
		}
		t.Cleanup(e.Close)
		c.engines, c.comms, c.devices = append(c.engines, e), append(c.comms, comm), append(c.devices, b)
	}
	return c, nil
}

// newBackend is a rank's: kernels of the CPU, or a GPU's (gpuExact, gpuRounded).
func newBackend(variant string, rank int) (kernels.Backend, error) {
	switch {
	case variant == gpuExact || variant == gpuFirst && rank == 0:
		return cuda.New(cuda.Config{Exact: true})
	case variant == gpuRounded:
		return cuda.New(cuda.Config{})
	case variant == gpuFirst:
		variant = ""
	}
	return cpu.New(cpu.Config{Threads: 1 + rank%2, Variant: variant})
}

func capacities(n int) []float64 { return slices.Repeat([]float64{1}, n) }

// run executes a step on all ranks and returns rank 0's result.
func (c *cluster) run(s engine.Step) engine.Result {
	c.t.Helper()
	c.step++
	s.Epoch, s.ID = 1, c.step
	ctx, cancel := context.WithTimeout(c.t.Context(), stepTime)
	defer cancel()
	results := make([]engine.Result, len(c.engines))
	var g errgroup.Group
	for r, e := range c.engines {
		g.Go(func() (err error) {
			results[r], err = e.Step(ctx, s)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		c.t.Fatal(err)
	}
	for r := range results {
		for i := range results[r].Sequences {
			if !slices.Equal(results[r].Sequences[i].Tokens, results[0].Sequences[i].Tokens) {
				c.t.Fatalf("rank %d chose %d, rank 0 %d", r, results[r].Sequences[i].Tokens, results[0].Sequences[i].Tokens)
			}
		}
	}
	return results[0]
}

// seq is a sequence as the coordinator knows it.
type seq struct {
	engine.NewSequence
	computed, blocks int
	prompt           []sample.Scores
	scores           []sample.Scores
}

// part plans the next count tokens of a sequence.
func (c *cluster) part(q *seq, count int) engine.SequenceStep {
	s := engine.SequenceStep{ID: q.ID, NumComputed: q.computed, Count: count, Sample: q.computed+count == len(q.Tokens),
		CheckedTokens: len(q.Tokens), TokensHash: digest.Tokens(digest.Start, q.Tokens...)}
	for q.blocks*testBlockSize < q.computed+count {
		for range max(1, c.groups) {
			s.NewBlocks = append(s.NewBlocks, c.blocks)
			c.blocks++
		}
		q.blocks++
	}
	return s
}

func (q *seq) take(r engine.SequenceResult, s engine.SequenceStep) {
	q.computed += s.Count + max(len(r.Tokens)-1, 0)
	q.prompt = append(q.prompt, r.PromptScores...)
	q.Tokens = append(q.Tokens, r.Tokens...)
	for _, s := range r.Scores {
		q.scores = append(q.scores, *s)
	}
}

func newSeq(id uint64, prompt []int32, p sample.Params) *seq {
	return &seq{NewSequence: engine.NewSequence{ID: id, Tokens: slices.Clone(prompt), PromptLen: len(prompt), Sampling: p, Logprobs: 10, PromptLogprobs: 1}}
}

// generate runs one sequence alone, its prompt in chunks.
func (c *cluster) generate(q *seq, chunk, n int) {
	start := []engine.NewSequence{q.NewSequence}
	var finished []uint64
	for len(q.Tokens) < q.PromptLen+n {
		p := c.part(q, min(chunk, len(q.Tokens)-q.computed))
		r := c.run(engine.Step{Finished: finished, Started: start, Sequences: []engine.SequenceStep{p}})
		short := len(q.Tokens) <= c.longAfter
		q.take(r.Sequences[0], p)
		start, finished = nil, nil
		if short && len(q.Tokens) > c.longAfter { // all keys change
			q.computed, q.blocks, q.PromptLogprobs = 0, 0, -1
			start, finished = []engine.NewSequence{q.NewSequence}, []uint64{q.ID}
		}
	}
	c.run(engine.Step{Finished: []uint64{q.ID}, Started: []engine.NewSequence{{ID: q.ID + 1e9, Tokens: []int32{1}, PromptLen: 1, Logprobs: -1, PromptLogprobs: -1}},
		Sequences: []engine.SequenceStep{c.part(newSeq(q.ID+1e9, []int32{1}, sample.Params{TopP: 1}), 1)}})
}

// fingerprint is a hash over every token and every bit of every score.
func (q *seq) fingerprint() uint64 {
	h := fnv.New64a()
	for _, t := range q.Tokens {
		binary.Write(h, binary.LittleEndian, t)
	}
	for _, s := range append(slices.Clone(q.prompt), q.scores...) {
		binary.Write(h, binary.LittleEndian, s.Logprob)
		binary.Write(h, binary.LittleEndian, s.TopIDs)
		binary.Write(h, binary.LittleEndian, s.TopLogprobs)
	}
	return h.Sum64()
}

var greedy = sample.Params{TopP: 1}

// TestGolden holds every golden model to its reference on 1, 2, 3, 4 and 8
// ranks, even and uneven, and all of those to each other, bit for bit.
func TestGolden(t *testing.T) {
	golden(t, "", tolerance, capacities(1), capacities(2), capacities(3), capacities(4), capacities(8), []float64{1, 3}, []float64{5, 1, 2})
}

// Variants of a GPU: activations as they are, and rounded where weights are of 16 bits;
// gpuFirst is rank 0 as gpuExact, the others on the CPU.
const (
	gpuExact   = "cuda-f32"
	gpuRounded = "cuda-f16"
	gpuFirst   = "cuda-f32 first"
)

var onGPU = flag.Bool("gpu", false, "test on the first GPU, or on what SULLAE_LIBCUDA names")

// TestGPUGolden is TestGolden on a GPU.
func TestGPUGolden(t *testing.T) {
	if !*onGPU {
		t.Skip("needs a GPU: -gpu")
	}
	t.Run("exact", func(t *testing.T) { golden(t, gpuExact, tolerance, capacities(1), capacities(2), capacities(4)) })
	t.Run("rounded", func(t *testing.T) { golden(t, gpuRounded, 5e-2, capacities(1), capacities(2), capacities(4)) })
}

func golden(t *testing.T, variant string, tolerance float64, shares ...[]float64) {
	for _, m := range modeltest.Golden(t) {
		t.Run(m.Name, func(t *testing.T) {
			ckpt := modeltest.Open(t, m.Dir)
			prints := map[string]uint64{}
			worst := 0.0
			for _, caps := range shares {
				if len(caps) > ckpt.Spec().Heads {
					continue
				}
				c := start(t, ckpt, variant, caps...)
				for i, g := range m.Cases {
					if testing.Short() && len(g.Prompt) > 64 {
						continue
					}
					q := newSeq(uint64(i+1), g.Prompt, greedy)
					chunk := []int{64, 1000, 17}[i%3] // of the longest one whole, in parts on several ranks
					c.generate(q, chunk, len(g.Greedy))
					worst = max(worst, compare(t, fmt.Sprintf("%v %s", caps, g.ID), g, q, tolerance))
					print := q.fingerprint()
					if want, ok := prints[g.ID]; ok && want != print {
						t.Errorf("capacities %v, case %s: other bits than one rank", caps, g.ID)
					}
					prints[g.ID] = print
				}
			}
			t.Logf("largest difference %.2g", worst)
		})
	}
}

// tolerance of log-probabilities; order is not compared where it is larger.
const tolerance = 1e-3

// compare holds what a sequence came to against the reference, and returns the largest
// difference of a log-probability.
func compare(t *testing.T, where string, g modeltest.Case, q *seq, within float64) (worst float64) {
	t.Helper()
	failed := false
	check := func(got float32, want float64, format string, args ...any) {
		d := math.Abs(float64(got) - want)
		worst = max(worst, d)
		if !(d <= within) && !failed {
			failed = true
			t.Errorf("%s: %s: log-probability %g, want %g", where, fmt.Sprintf(format, args...), got, want)
		}
	}
	for i, want := range g.TokenLogprobs {
		check(q.prompt[i].Logprob, want, "prompt token %d", i+1)
		if within <= tolerance && q.prompt[i].TopIDs[0] != g.Argmax[i] {
			t.Errorf("%s: position %d: likeliest %d, want %d", where, i, q.prompt[i].TopIDs[0], g.Argmax[i])
		}
	}
	if got := q.Tokens[q.PromptLen:]; !slices.Equal(got, g.Greedy) {
		t.Errorf("%s: greedy %v, want %v", where, got, g.Greedy)
		return worst
	}
	for i, want := range g.GreedyLogprobs {
		check(q.scores[i].Logprob, want, "token %d", i)
	}
	for i, want := range g.Top10 {
		if within <= tolerance && q.scores[0].TopIDs[i] != want.ID {
			t.Errorf("%s: top %d: %d, want %d", where, i, q.scores[0].TopIDs[i], want.ID)
		}
		check(q.scores[0].TopLogprobs[i], want.Logprob, "top %d", i)
	}
	return worst
}
