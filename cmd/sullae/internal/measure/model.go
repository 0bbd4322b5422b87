package measure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/digest"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/kernels/cuda"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/worker/engine"
	"github.com/sullae/sullae/worker/sample"
)

// ModelConfig is what to measure of a model.
type ModelConfig struct {
	Spec     *model.Spec
	Source   checkpoint.Source
	Formats  []kernels.Format
	KVType   kernels.KVType
	Backend  cpu.Config
	GPU      *cuda.Config // to measure a GPU; nil: the CPU
	Ranks    int          // that share the model, in this process over gRPC; 0 is 1
	Sampling sample.Params
	Prompt   int   // tokens of the prefill that is timed
	Decode   int   // steps of decoding that are timed
	Context  int   // tokens in each sequence's cache when they begin
	Batches  []int // sequences decoded together
	Repeat   int   // prefills, of which the best counts
	Ops      bool  // tell what each op takes of a step of decoding, on the CPU
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
	// Of several ranks, rank 0's, for each step: what it spends on collectives, the
	// time of those in which a peer was waited for, and copies between device and host.
	CollectiveMicros float64 `json:"collective_microseconds,omitempty"`
	WaitMicros       float64 `json:"wait_microseconds,omitempty"`
	CopyMicros       float64 `json:"copy_microseconds,omitempty"`
}

// ModelReport is all figures of a model.
type ModelReport struct {
	Parameters int64              `json:"parameters"`
	Backend    string             `json:"backend"`
	Variant    string             `json:"variant"`
	Ranks      int                `json:"ranks"`
	Threads    int                `json:"threads"`
	KVType     string             `json:"kv_type"`
	LoadGBs    map[string]float64 `json:"load_stored_gb_per_second"`
	Weights    map[string]int64   `json:"weight_bytes"`
	Results    []ModelResult      `json:"results"`
}

const modelBlock = 16 // positions in a KV block

// Model measures prefill and decode in each format, in this process.
func Model(ctx context.Context, cfg ModelConfig) (*ModelReport, error) {
	cfg.Ranks = max(cfg.Ranks, 1)
	mach, err := newMachine(cfg.Backend, cfg.GPU, cfg.Ranks)
	if err != nil {
		return nil, err
	}
	defer mach.shut()
	info := mach.ranks[0].Info()
	rep := &ModelReport{Backend: info.Name, Variant: info.Variant, Ranks: cfg.Ranks, Threads: info.Threads, KVType: cfg.KVType.String(), LoadGBs: map[string]float64{}, Weights: map[string]int64{}}
	for _, w := range cfg.Spec.Weights() {
		rep.Parameters += int64(w.Ref.Rows) * int64(max(w.Ref.Cols, 1))
	}
	for _, f := range cfg.Formats {
		m := &modelRun{cfg: cfg, mach: mach, format: f, rep: rep}
		if err := m.run(ctx); err != nil {
			return rep, fmt.Errorf("%v: %w", f, err)
		}
	}
	return rep, mach.err
}

// modelRun measures one format.
type modelRun struct {
	cfg    ModelConfig
	mach   *machine
	timed  *timed // rank 0's backend, where ops are timed
	format kernels.Format
	rep    *ModelReport

	ranks    []*engine.Engine
	comm     collective.Communicator // rank 0's
	step     uint64
	finished []*sequence // to be dropped with the next step
	bytes    int64       // of the weights that a token needs, on all ranks
	spent    int64       // nanoseconds in collectives, of rank 0's last step
	macs     int64       // of the products that a prompt's token needs, attention left out
	head     int64       // multiply-adds of the vocabulary product
}

func (m *modelRun) run(ctx context.Context) error {
	spec := m.cfg.Spec
	p, err := plan.Make(plan.UnitsOf(spec), slices.Repeat([]float64{1}, m.cfg.Ranks))
	if err != nil {
		return err
	}
	comms, err := m.mach.join(ctx)
	for _, c := range comms {
		if c != nil {
			defer c.Close()
		}
	}
	if err != nil {
		return err
	}
	m.comm = comms[0]
	sequences := max(1, slices.Max(m.cfg.Batches))
	perSeq := (max(m.cfg.Context+m.cfg.Decode+2, m.cfg.Prompt) + modelBlock - 1) / modelBlock
	start := time.Now()
	loadedBytes := int64(0)
	for r, b := range m.mach.ranks {
		loaded, err := engine.Load(ctx, engine.LoadConfig{Backend: b, Spec: spec, Plan: p, Rank: r, Source: m.cfg.Source, Format: m.format})
		if err != nil {
			return err
		}
		defer loaded.Free()
		loadedBytes += loaded.Bytes()
		if c, ok := b.(*cpu.Backend); ok && m.cfg.Ops && r == 0 {
			m.timed = &timed{Backend: c}
			m.timed.reset()
			b = m.timed
		}
		e, err := engine.New(engine.Config{Model: loaded, Backend: b, Comm: comms[r], Epoch: 1, Blocks: sequences * perSeq * m.groups(), BlockSize: modelBlock, KVType: m.cfg.KVType})
		if err != nil {
			return err
		}
		defer e.Close()
		m.ranks = append(m.ranks, e)
	}
	name := m.format.String()
	stored := int64(0)
	for r := range p.Shares {
		stored += plan.WeightBytes(spec, p, r, nil)
	}
	m.rep.LoadGBs[name] = float64(stored) / float64(time.Since(start))
	m.rep.Weights[name] = loadedBytes
	m.bytes = loadedBytes - int64(spec.Vocab)*int64(spec.Hidden*spec.DType.Size()) // the embedding
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
		s.Started = append(s.Started, engine.NewSequence{ID: q.id, Tokens: q.tokens, PromptLen: len(q.tokens), Sampling: m.cfg.Sampling, Logprobs: -1, PromptLogprobs: -1})
	}
	for _, q := range seqs {
		part := engine.SequenceStep{ID: q.id, NumComputed: q.computed, Count: count, Sample: q.computed+count == len(q.tokens),
			CheckedTokens: len(q.tokens), TokensHash: digest.Tokens(digest.Start, q.tokens...)}
		for need := (q.computed + count + modelBlock - 1) / modelBlock * m.groups(); q.sent < need; q.sent++ {
			part.NewBlocks = append(part.NewBlocks, q.blocks[q.sent])
		}
		s.Sequences = append(s.Sequences, part)
	}
	results := make([]engine.Result, len(m.ranks))
	start := time.Now()
	stepping, ctx := errgroup.WithContext(ctx)
	for r, e := range m.ranks {
		stepping.Go(func() (err error) {
			results[r], err = e.Step(ctx, s)
			return err
		})
	}
	err := stepping.Wait()
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	res := results[0]
	m.spent = res.CollectiveNanos
	for i, q := range seqs {
		q.computed += count
		q.tokens = append(q.tokens, res.Sequences[i].Tokens...)
	}
	return took, nil
}

func (m *modelRun) prefill(ctx context.Context) error {
	var times []time.Duration
	limits := m.mach.limits()
	for range m.cfg.Repeat + 1 {
		s := []*sequence{m.newSequence(0, m.cfg.Prompt, (m.cfg.Prompt+modelBlock-1)/modelBlock)}
		took, err := m.forward(ctx, s, s, m.cfg.Prompt)
		if err != nil {
			return err
		}
		m.finished, times = s, append(times, took)
	}
	limits = higher(limits, m.mach.limits())
	times = times[1:] // the first one reserves memory
	n, spec := int64(m.cfg.Prompt), m.cfg.Spec
	attention := n * (n + 1) / 2 * 2 * int64(len(spec.Layers)) * int64(spec.Heads*spec.HeadDim)
	m.report("prefill", 1, m.cfg.Prompt, times, exchange{}, limits, 2*(n*m.macs+m.head+attention), m.bytes, nil)
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
	limits := m.mach.limits()
	if m.timed != nil {
		m.timed.reset()
	}
	var times []time.Duration
	var costs exchange
	waited := m.waited()
	for range m.cfg.Decode {
		took, err := m.forward(ctx, nil, seqs, 1)
		if err != nil {
			return err
		}
		times = append(times, took)
		costs.collective += float64(m.spent) / 1e3 / float64(m.cfg.Decode)
		if m.timed != nil {
			m.timed.stepped(took)
		}
	}
	var ops []Op
	if m.timed != nil {
		ops = m.timed.ops()
	}
	costs.wait = (m.waited() - waited) * 1e6 / float64(m.cfg.Decode)
	if m.mach.timeCopies != nil && len(m.ranks) > 1 { // in a step of its own: it waits more often
		stop := m.mach.timeCopies()
		if _, err := m.forward(ctx, nil, seqs, 1); err != nil {
			return err
		}
		costs.copies = float64(stop()) / 1e3
	}
	limits = higher(limits, m.mach.limits())
	m.finished = seqs
	spec := m.cfg.Spec
	positions := int64(batch) * int64(m.cfg.Context+m.cfg.Decode/2)
	vectors := positions * 2 * int64(len(spec.Layers)) // keys and values of a head
	work := 2*int64(batch)*(m.macs+m.head) + 2*vectors*int64(spec.HeadDim*spec.Heads)
	m.report("decode", batch, batch, times, costs, limits, work, m.bytes+vectors*int64(spec.KVHeads*m.cfg.KVType.VectorBytes(spec.HeadDim)), ops)
	return nil
}

// exchange is what a step spends on the other ranks, in microseconds.
type exchange struct{ collective, wait, copies float64 }

// waited is how long rank 0 has waited for peers, in seconds.
func (m *modelRun) waited() (s float64) {
	if c, ok := m.comm.(collective.Measured); ok {
		for _, p := range c.Stats().Peers {
			s += p.WaitSeconds
		}
	}
	return s
}

// report adds a figure; each of the times took the given tokens, operations (work) and bytes.
func (m *modelRun) report(phase string, batch, tokens int, times []time.Duration, costs exchange, limits Limits, work, bytes int64, ops []Op) {
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
	if len(m.ranks) > 1 {
		r.CollectiveMicros, r.WaitMicros, r.CopyMicros = costs.collective, costs.wait, costs.copies
	}
	if limits.Read > 0 {
		r.OfRead = r.Read / limits.Read
	}
	if l := limits.of(m.format, m.cfg.Spec.DType); l > 0 {
		r.OfCompute = r.Compute / l
	}
	m.rep.Results = append(m.rep.Results, r)
	if m.cfg.OnResult != nil {
		m.cfg.OnResult(r)
	}
}
