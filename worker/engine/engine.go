package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sullae/sullae/collective"
	"github.com/sullae/sullae/collective/digest"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/worker/sample"
)

// Errors that end an epoch for this rank; the message says which sequence.
var (
	// ErrPlan is a step that does not follow from the steps before it.
	ErrPlan = errors.New("step plan refused")
	// ErrNumeric is a result that is not a number.
	ErrNumeric = errors.New("logits are not finite")
)

// SequenceError is a failure that a sequence's own tokens cause: computing it
// again would fail again.
type SequenceError struct {
	ID  uint64
	Err error
}

func (e *SequenceError) Error() string { return fmt.Sprintf("sequence %d: %v", e.ID, e.Err) }

// Unwrap is the cause.
func (e *SequenceError) Unwrap() error { return e.Err }

// Config is what an Engine works with. Timeout-bearing contexts are the
// caller's; the communicator has its own deadlines.
type Config struct {
	Model   *Model
	Backend kernels.Backend
	Comm    collective.Communicator
	Epoch   uint64
	Blocks  int // KV blocks, of all groups of layers, the same on all ranks
	// BlockSize is in positions.
	BlockSize int
	// KVType is how keys and values are kept, the same on all ranks.
	KVType kernels.KVType
	// Parts is the most parts in which a step's rows go through the layers, each of
	// PartRows or more, so that one is computed while another's sums are exchanged: the
	// same on all ranks. 0 is what is usual.
	Parts, PartRows int
}

// Engine runs the steps of one epoch on one rank. One goroutine uses it.
type Engine struct {
	cfg  Config
	m    *Model
	b    kernels.Backend
	comm collective.Communicator
	kv   kernels.KV
	// groups are the groups of layers that have blocks of their own.
	groups model.KVGroups
	seqs   map[uint64]*sequence
	act    activations
	batch  batch // of the last step: its memory is used again

	lastStep                   uint64
	collectiveNanos, maskNanos int64
}

// sequence is what a rank knows of a sequence.
type sequence struct {
	NewSequence
	computed int             // positions whose keys and values are in the pool
	blocks   [][]int32       // block table of each group of layers
	hashes   []uint64        // hashes[n] = hash of the first n tokens
	angles   int             // where in the rotary table its position 0 is
	history  *sample.History // nil unless Process is active
}

func (s *sequence) push(t int32) {
	if s.history != nil && len(s.Tokens) >= s.PromptLen {
		s.history.Push(t)
	}
	s.Tokens = append(s.Tokens, t)
	s.hashes = append(s.hashes, digest.Tokens(s.hashes[len(s.hashes)-1], t))
}

// New allocates the KV pool.
func New(cfg Config) (*Engine, error) {
	groups := cfg.Model.spec.KVGroups()
	kv, err := cfg.Backend.NewKV(kernels.KVConfig{
		Layers: groups.Layers, Blocks: cfg.Blocks, BlockSize: cfg.BlockSize,
		KVHeads: cfg.Model.plan.Units.KVRange(cfg.Model.share).Len(), HeadDim: cfg.Model.spec.HeadDim, Type: cfg.KVType,
	})
	if err != nil {
		return nil, fmt.Errorf("KV pool of %d blocks of %d positions: %w", cfg.Blocks, cfg.BlockSize, err)
	}
	return &Engine{cfg: cfg, m: cfg.Model, b: cfg.Backend, comm: cfg.Comm, kv: kv, groups: groups, seqs: map[uint64]*sequence{}}, nil
}

// KVBytes is the size of the KV pool.
func (e *Engine) KVBytes() int64 { return e.kv.Bytes() }

// Close frees what New and the steps allocated; the model stays.
func (e *Engine) Close() {
	e.act.free()
	if e.kv != nil {
		e.kv.Free()
		e.kv = nil
	}
}

// Step runs one forward pass. Any error ends the epoch.
func (e *Engine) Step(ctx context.Context, s Step) (Result, error) {
	start := time.Now()
	e.collectiveNanos, e.maskNanos = 0, 0
	batch, err := e.admit(s)
	if err != nil {
		return Result{}, fmt.Errorf("step %d: rank %d: %w", s.ID, e.comm.Rank(), err)
	}
	res, err := e.forward(ctx, s, batch)
	if err != nil {
		return Result{}, fmt.Errorf("step %d: rank %d: %w", s.ID, e.comm.Rank(), err)
	}
	e.lastStep = s.ID
	res.Step, res.Rows = s.ID, batch.rows
	res.CollectiveNanos, res.MaskNanos = e.collectiveNanos, e.maskNanos
	res.ComputeNanos = time.Since(start).Nanoseconds() - e.collectiveNanos - e.maskNanos
	return res, nil
}

// batch is a checked step: the rows of its forward pass.
type batch struct {
	rows int
	ids  []int32 // token of each row
	pos  []int32 // position of each row
	// angles is where in the rotary table each row's angles are.
	angles []int32
	seqs   [][]kernels.SeqRows // for each group of layers
	items  []item
	outs   []output
	check  uint64
}

// reset empties a batch for the next step, and keeps its memory.
func (b *batch) reset(groups int) *batch {
	seqs := b.seqs
	if seqs == nil {
		seqs = make([][]kernels.SeqRows, groups)
	}
	for g := range seqs {
		clear(seqs[g]) // block tables of sequences that may be gone
		seqs[g] = seqs[g][:0]
	}
	clear(b.items)
	*b = batch{ids: b.ids[:0], pos: b.pos[:0], angles: b.angles[:0], seqs: seqs, items: b.items[:0], outs: b.outs[:0], check: digest.Start}
	return b
}

// item ties a sequence's rows to its state.
type item struct {
	seq   *sequence
	step  SequenceStep
	row   int
	masks Masks
}

// output is a row whose logits are wanted.
type output struct {
	item int
	row  int
	want sample.Want
	// promptPos > 0: the row scores the prompt's token at that position.
	promptPos int
	// draft is how many drafts come before the token that the row samples.
	draft int
}

// admit applies a step's joins and leaves, checks it against what this rank
// knows, and lays out its rows.
func (e *Engine) admit(s Step) (*batch, error) {
	if s.Epoch != e.cfg.Epoch {
		return nil, fmt.Errorf("%w: it is of epoch %d, this rank is in epoch %d", ErrPlan, s.Epoch, e.cfg.Epoch)
	}
	if s.ID != e.lastStep+1 {
		return nil, fmt.Errorf("%w: it is number %d, expected %d", ErrPlan, s.ID, e.lastStep+1)
	}
	for _, id := range s.Finished {
		delete(e.seqs, id)
	}
	for _, n := range s.Started {
		if e.seqs[n.ID] != nil {
			return nil, fmt.Errorf("%w: sequence %d starts twice", ErrPlan, n.ID)
		}
		if n.NumComputed < 0 || n.NumComputed >= len(n.Tokens) {
			return nil, fmt.Errorf("%w: sequence %d starts with %d of %d tokens computed", ErrPlan, n.ID, n.NumComputed, len(n.Tokens))
		}
		q := &sequence{NewSequence: n, computed: n.NumComputed, hashes: make([]uint64, 1, len(n.Tokens)+64), blocks: make([][]int32, len(e.groups.Windows))}
		q.hashes[0] = digest.Start
		if n.Process.Active() {
			q.history = sample.NewHistory(n.Tokens[:min(n.PromptLen, len(n.Tokens))])
		}
		q.angles = e.m.spec.Rope.Start(e.m.spec.MaxPositions, len(n.Tokens))
		q.Tokens = make([]int32, 0, len(n.Tokens)+64)
		for _, t := range n.Tokens {
			if t < 0 || int(t) >= e.m.spec.Vocab {
				return nil, fmt.Errorf("%w: sequence %d has token %d, the vocabulary %d entries", ErrPlan, n.ID, t, e.m.spec.Vocab)
			}
			q.push(t)
		}
		e.seqs[n.ID] = q
	}
	groups := len(e.groups.Windows)
	b := e.batch.reset(groups)
	for _, ss := range s.Sequences {
		q := e.seqs[ss.ID]
		if q == nil {
			return nil, fmt.Errorf("%w: sequence %d is not known", ErrPlan, ss.ID)
		}
		if len(ss.NewBlocks)%groups != 0 {
			return nil, fmt.Errorf("%w: sequence %d: %d new blocks for %d groups of layers", ErrPlan, ss.ID, len(ss.NewBlocks), groups)
		}
		for i, blk := range ss.NewBlocks {
			q.blocks[i%groups] = append(q.blocks[i%groups], blk)
		}
		end := ss.NumComputed + ss.Count
		last := end + len(ss.Drafts)
		switch {
		case ss.NumComputed != q.computed:
			return nil, fmt.Errorf("%w: sequence %d: plan has %d computed tokens, this rank %d", ErrPlan, ss.ID, ss.NumComputed, q.computed)
		case ss.Count < 1 || end > len(q.Tokens):
			return nil, fmt.Errorf("%w: sequence %d: tokens [%d, %d) of %d known", ErrPlan, ss.ID, ss.NumComputed, end, len(q.Tokens))
		case last > e.m.spec.MaxPositions:
			return nil, fmt.Errorf("%w: sequence %d: position %d is past the context of %d", ErrPlan, ss.ID, last-1, e.m.spec.MaxPositions)
		case q.angles > 0 && last > e.m.spec.Rope.LongAfter():
			return nil, fmt.Errorf("%w: sequence %d: it began with the rotary embedding of up to %d tokens and now has %d; it has to start anew", ErrPlan, ss.ID, e.m.spec.Rope.LongAfter(), last)
		case last > len(q.blocks[0])*e.cfg.BlockSize:
			return nil, fmt.Errorf("%w: sequence %d: %d positions do not fit in %d blocks of %d", ErrPlan, ss.ID, last, len(q.blocks[0]), e.cfg.BlockSize)
		case ss.Sample && end != len(q.Tokens):
			return nil, fmt.Errorf("%w: sequence %d: sampling at %d of %d tokens", ErrPlan, ss.ID, end, len(q.Tokens))
		case (len(ss.Drafts) > 0 || ss.Masked) && !ss.Sample:
			return nil, fmt.Errorf("%w: sequence %d: %d drafts and masked (%v) without sampling", ErrPlan, ss.ID, len(ss.Drafts), ss.Masked)
		case ss.Masked && s.Masks == nil:
			return nil, fmt.Errorf("%w: sequence %d: masked, in a step without masks", ErrPlan, ss.ID)
		case ss.CheckedTokens > len(q.Tokens) || q.hashes[ss.CheckedTokens] != ss.TokensHash:
			return nil, fmt.Errorf("%w: sequence %d: the first %d tokens differ from the coordinator's", ErrPlan, ss.ID, ss.CheckedTokens)
		}
		for _, blk := range ss.NewBlocks {
			if blk < 0 || int(blk) >= e.cfg.Blocks {
				return nil, fmt.Errorf("%w: sequence %d: block %d of a pool of %d", ErrPlan, ss.ID, blk, e.cfg.Blocks)
			}
		}
		for _, t := range ss.Drafts {
			if t < 0 || int(t) >= e.m.spec.Vocab {
				return nil, fmt.Errorf("%w: sequence %d has draft %d, the vocabulary %d entries", ErrPlan, ss.ID, t, e.m.spec.Vocab)
			}
		}
		it := len(b.items)
		b.items = append(b.items, item{seq: q, step: ss, row: b.rows})
		for g, blocks := range q.blocks {
			b.seqs[g] = append(b.seqs[g], kernels.SeqRows{Row: b.rows, N: ss.Count + len(ss.Drafts), Pos: ss.NumComputed, Blocks: blocks})
		}
		b.check = digest.Tokens(b.check^q.hashes[end], int32(ss.ID), int32(ss.NumComputed), int32(ss.Count))
		b.check = digest.Tokens(digest.Tokens(b.check, ss.NewBlocks...), ss.Drafts...)
		for i := range ss.Count {
			p := ss.NumComputed + i
			b.ids = append(b.ids, q.Tokens[p])
			b.pos, b.angles = append(b.pos, int32(p)), append(b.angles, int32(q.angles+p))
			if q.PromptLogprobs >= 0 && p+1 < q.PromptLen {
				b.outs = append(b.outs, output{item: it, row: b.rows + i, promptPos: p + 1,
					want: sample.Want{Scores: q.PromptLogprobs, Target: q.Tokens[p+1]}})
			}
		}
		for i, t := range ss.Drafts {
			b.ids = append(b.ids, t)
			b.pos, b.angles = append(b.pos, int32(end+i)), append(b.angles, int32(q.angles+end+i))
		}
		if ss.Sample {
			for i := range 1 + len(ss.Drafts) {
				b.outs = append(b.outs, output{item: it, row: b.rows + ss.Count - 1 + i, draft: i,
					want: sample.Want{Sample: true, Params: q.Sampling, Position: end + i, Scores: q.Logprobs, Target: -1}})
			}
		}
		b.rows += ss.Count + len(ss.Drafts)
	}
	if b.rows == 0 {
		return nil, fmt.Errorf("%w: it has no rows", ErrPlan)
	}
	return b, nil
}
