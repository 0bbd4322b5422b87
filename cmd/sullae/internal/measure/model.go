package measure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sullae/sullae/collective/digest"
	memlink "github.com/sullae/sullae/collective/link/mem"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/worker/engine"
	"github.com/sullae/sullae/worker/sample"
)

// ModelConfig is what to measure of a model.
type ModelConfig struct {
	Spec    *model.Spec
	Source  checkpoint.Source
	Formats []kernels.Format
	KVType  kernels.KVType
	Backend cpu.Config
	Prompt  int   // tokens of the prefill that is timed
	Decode  int   // steps of decoding that are timed
	Context int   // tokens in each sequence's cache when they begin
	Batches []int // sequences decoded together
	Repeat  int   // prefills, of which the best counts
	Ops     bool  // tell what each op takes of a step of decoding
	// OnResult is told each result as it comes.
	OnResult func(ModelResult)
}

// ModelResult is one figure.
type ModelResult struct {
	Format          string  `json:"quant"`
	Phase           string  `json:"phase"` // "prefill" or "decode"
	Batch           int     `json:"batch"`
	Tokens          int     `json:"tokens"`
	TokensPerSecond float64 `json:"tokens_per_second"`
	// BestTokensPerSecond is that of the fastest prefill or step.
	BestTokensPerSecond float64 `json:"best_tokens_per_second"`
	// Read and Compute are what the fastest one took of the machine, in 10^9 bytes
	// and operations per second.
	Read    float64 `json:"read_gb_per_second"`
	Compute float64 `json:"gop_per_second"`
	// OfRead and OfCompute are their shares of the limits, measured around it.
	OfRead    float64 `json:"of_read_limit"`
	OfCompute float64 `json:"of_compute_limit"`
	Limits    Limits  `json:"limits"`
	Ops       []Op    `json:"ops,omitempty"`
}

// ModelReport is all figures of a model.
type ModelReport struct {
	Parameters int64              `json:"parameters"`
	Variant    string             `json:"variant"`
	Threads    int                `json:"threads"`
	KVType     string             `json:"kv_type"`
	LoadGBs    map[string]float64 `json:"load_stored_gb_per_second"`
	Weights    map[string]int64   `json:"weight_bytes"`
	Results    []ModelResult      `json:"results"`
}

const modelBlock = 16 // positions in a KV block

// Model measures prefill and decode in each format, one rank in this process.
func Model(ctx context.Context, cfg ModelConfig) (*ModelReport, error) {
	b, err := cpu.New(cfg.Backend)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	probe, err := newProber(b)
	if err != nil {
		return nil, err
	}
	defer probe.close()
	rep := &ModelReport{Variant: b.Info().Variant, Threads: b.Info().Threads, KVType: cfg.KVType.String(), LoadGBs: map[string]float64{}, Weights: map[string]int64{}}
	for _, w := range cfg.Spec.Weights() {
		rep.Parameters += int64(w.Ref.Rows) * int64(max(w.Ref.Cols, 1))
	}
	for _, f := range cfg.Formats {
		m := &modelRun{cfg: cfg, b: b, probe: probe, format: f, rep: rep}
		if err := m.run(ctx); err != nil {
			return rep, fmt.Errorf("%v: %w", f, err)
		}
	}
	return rep, nil
}

// modelRun measures one format.
type modelRun struct {
	cfg    ModelConfig
	b      *cpu.Backend
	timed  *timed // b, where ops are timed
	probe  *prober
	format kernels.Format
	rep    *ModelReport

	e        *engine.Engine
	step     uint64
	finished []*sequence // to be dropped with the next step
	bytes    int64       // of the weights that a token needs
	macs     int64       // of the products that a prompt's token needs, attention left out
	head     int64       // multiply-adds of the vocabulary product
}

func (m *modelRun) run(ctx context.Context) error {
	spec := m.cfg.Spec
	p, err := plan.Make(plan.UnitsOf(spec), []float64{1})
	if err != nil {
		return err
	}
	start := time.Now()
	loaded, err := engine.Load(ctx, engine.LoadConfig{Backend: m.b, Spec: spec, Plan: p, Source: m.cfg.Source, Format: m.format})
	if err != nil {
		return err
	}
	defer loaded.Free()
	name := m.format.String()
	m.rep.LoadGBs[name] = float64(plan.WeightBytes(spec, p, 0, nil)) / float64(time.Since(start))
	m.rep.Weights[name] = loaded.Bytes()
	m.bytes = loaded.Bytes() - int64(spec.Vocab)*int64(spec.Hidden*spec.DType.Size()) // the embedding
	for _, w := range spec.Weights() {
		n := int64(w.Ref.Rows) * int64(w.Ref.Cols)
		switch w.Role {
		case model.Embed:
		case model.Head:
			m.head = n
		default:
			m.macs += n
		}
	}
	sequences := max(1, slices.Max(m.cfg.Batches))
	perSeq := (max(m.cfg.Context+m.cfg.Decode+2, m.cfg.Prompt) + modelBlock - 1) / modelBlock
	var backend kernels.Backend = m.b
	if m.cfg.Ops {
		m.timed = &timed{Backend: m.b}
		m.timed.reset()
		backend = m.timed
	}
	m.e, err = engine.New(engine.Config{Model: loaded, Backend: backend, Comm: memlink.NewGroup(1)[0], Epoch: 1, Blocks: sequences * perSeq * m.groups(), BlockSize: modelBlock, KVType: m.cfg.KVType})
	if err != nil {
		return err
	}
	defer m.e.Close()
	if err := m.prefill(ctx); err != nil {
		return err
	}
	for _, batch := range m.cfg.Batches {
		if err := m.decode(ctx, batch, perSeq); err != nil {
			return err
		}
	}
	return nil
}

// sequence is one that the run keeps decoding.
type sequence struct {
	id       uint64
	tokens   []int32
	computed int
	blocks   []int32
	sent     int // blocks
}

// groups is the number of groups of layers, each with blocks of its own.
func (m *modelRun) groups() int { return len(m.cfg.Spec.KVGroups().Windows) }

// newSequence has n tokens of no meaning, and blocks of its own for a number of spans.
func (m *modelRun) newSequence(i, n, blocks int) *sequence {
	s := &sequence{id: m.step + uint64(i) + 1}
	for t := range n {
		s.tokens = append(s.tokens, int32((t*7919+i*104729+13)%m.cfg.Spec.Vocab))
	}
	blocks *= m.groups()
	for b := range blocks {
		s.blocks = append(s.blocks, int32(i*blocks+b))
	}
	return s
}

// forward computes the next count tokens of each sequence and returns the time.
func (m *modelRun) forward(ctx context.Context, started, seqs []*sequence, count int) (time.Duration, error) {
	m.step++
	s := engine.Step{Epoch: 1, ID: m.step}
	for _, q := range m.finished {
		s.Finished = append(s.Finished, q.id)
	}
	m.finished = nil
	for _, q := range started {
		s.Started = append(s.Started, engine.NewSequence{ID: q.id, Tokens: q.tokens, PromptLen: len(q.tokens), Sampling: sample.Params{TopP: 1}, Logprobs: -1, PromptLogprobs: -1})
	}
	for _, q := range seqs {
		part := engine.SequenceStep{ID: q.id, NumComputed: q.computed, Count: count, Sample: q.computed+count == len(q.tokens),
			CheckedTokens: len(q.tokens), TokensHash: digest.Tokens(digest.Start, q.tokens...)}
		for need := (q.computed + count + modelBlock - 1) / modelBlock * m.groups(); q.sent < need; q.sent++ {
			part.NewBlocks = append(part.NewBlocks, q.blocks[q.sent])
		}
		s.Sequences = append(s.Sequences, part)
	}
	start := time.Now()
	res, err := m.e.Step(ctx, s)
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	for i, q := range seqs {
		q.computed += count
		q.tokens = append(q.tokens, res.Sequences[i].Tokens...)
	}
	return took, nil
}

func (m *modelRun) prefill(ctx context.Context) error {
	var times []time.Duration
	limits := m.probe.now()
	for range m.cfg.Repeat + 1 {
		s := []*sequence{m.newSequence(0, m.cfg.Prompt, (m.cfg.Prompt+modelBlock-1)/modelBlock)}
		took, err := m.forward(ctx, s, s, m.cfg.Prompt)
		if err != nil {
			return err
		}
		m.finished, times = s, append(times, took)
	}
	limits = higher(limits, m.probe.now())
	times = times[1:] // the first one reserves memory
	n, spec := int64(m.cfg.Prompt), m.cfg.Spec
	attention := n * (n + 1) / 2 * 2 * int64(len(spec.Layers)) * int64(spec.Heads*spec.HeadDim)
	m.report("prefill", 1, m.cfg.Prompt, times, limits, 2*(n*m.macs+m.head+attention), m.bytes, nil)
	return nil
}

// contextChunk tokens of a prompt are computed at a time before decoding.
const contextChunk = 128

func (m *modelRun) decode(ctx context.Context, batch, perSeq int) error {
	var seqs []*sequence
	for i := range batch {
		s := m.newSequence(i, m.cfg.Context, perSeq)
		seqs = append(seqs, s)
		for started := []*sequence{s}; s.computed < m.cfg.Context; started = nil {
			if _, err := m.forward(ctx, started, []*sequence{s}, min(contextChunk, m.cfg.Context-s.computed)); err != nil {
				return err
			}
		}
	}
	limits := m.probe.now()
	if m.timed != nil {
		m.timed.reset()
	}
	var times []time.Duration
	for range m.cfg.Decode {
		took, err := m.forward(ctx, nil, seqs, 1)
		if err != nil {
			return err
		}
		times = append(times, took)
		if m.timed != nil {
			m.timed.stepped(took)
		}
	}
	var ops []Op
	if m.timed != nil {
		ops = m.timed.ops()
	}
	limits = higher(limits, m.probe.now())
	m.finished = seqs
	spec := m.cfg.Spec
	positions := int64(batch) * int64(m.cfg.Context+m.cfg.Decode/2)
	vectors := positions * 2 * int64(len(spec.Layers)) // keys and values of a head
	work := 2*int64(batch)*(m.macs+m.head) + 2*vectors*int64(spec.HeadDim*spec.Heads)
	m.report("decode", batch, batch, times, limits, work, m.bytes+vectors*int64(spec.KVHeads*m.cfg.KVType.VectorBytes(spec.HeadDim)), ops)
	return nil
}

// report adds a figure; each of the times took the given tokens, operations (work) and bytes.
func (m *modelRun) report(phase string, batch, tokens int, times []time.Duration, limits Limits, work, bytes int64, ops []Op) {
	times = slices.Clone(times)
	slices.Sort(times)
	best, sum := times[0], time.Duration(0)
	for _, t := range times {
		sum += t
	}
	mean := sum / time.Duration(len(times))
	r := ModelResult{
		Format: m.format.String(), Phase: phase, Batch: batch, Tokens: tokens * len(times),
		TokensPerSecond: float64(tokens) / mean.Seconds(), BestTokensPerSecond: float64(tokens) / best.Seconds(),
		Read: float64(bytes) / float64(best), Compute: float64(work) / float64(best), Limits: limits, Ops: ops,
	}
	if limits.Read > 0 {
		r.OfRead = r.Read / limits.Read
	}
	if l := limits.of(m.format); l > 0 {
		r.OfCompute = r.Compute / l
	}
	m.rep.Results = append(m.rep.Results, r)
	if m.cfg.OnResult != nil {
		m.cfg.OnResult(r)
	}
}
