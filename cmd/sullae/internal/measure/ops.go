package measure

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
)

// Op is what one kind of op took of the steps that were timed.
type Op struct {
	Name  string `json:"name"` // a product's with its [outputs, K]
	Calls int    `json:"calls_per_step"`
	// Microseconds are of a step: the median of the steps', so that what a busy
	// machine does to some doesn't show. Compute is in 10^9 operations per second, and
	// 0 for what is not a product.
	Microseconds float64 `json:"us_per_step"`
	Compute      float64 `json:"gop_per_second,omitempty"`
}

// timed is a Backend that notes what its ops take.
type timed struct {
	*cpu.Backend
	step  map[string]opSpent // of the step that runs
	steps map[string][]opSpent
}

type opSpent struct {
	calls int
	took  time.Duration
	work  float64
}

func (t *timed) note(name string, start time.Time, work float64) {
	s := t.step[name]
	t.step[name] = opSpent{s.calls + 1, s.took + time.Since(start), s.work + work}
}

// reset forgets all steps.
func (t *timed) reset() { t.step, t.steps = map[string]opSpent{}, map[string][]opSpent{} }

// between is the name of what is no op: laying out the step, choosing the tokens.
const between = "between ops"

// stepped ends a step that took so long.
func (t *timed) stepped(took time.Duration) {
	for name, s := range t.step {
		took -= s.took
		t.steps[name] = append(t.steps[name], s)
	}
	t.steps[between] = append(t.steps[between], opSpent{1, took, 0})
	clear(t.step)
}

// ops are what the steps spent, longest first.
func (t *timed) ops() (list []Op) {
	for name, steps := range t.steps {
		slices.SortFunc(steps, func(a, b opSpent) int { return cmp.Compare(a.took, b.took) })
		s := steps[len(steps)/2]
		list = append(list, Op{name, s.calls, float64(s.took) / 1e3, s.work / float64(s.took)})
	}
	slices.SortFunc(list, func(a, b Op) int { return cmp.Compare(b.Microseconds, a.Microseconds) })
	return list
}

// MatMul implements kernels.Backend.
func (t *timed) MatMul(dst, x kernels.Buffer, w kernels.Weight, rows int) {
	t.Multiply(kernels.Products{X: x, Rows: rows, List: []kernels.Product{{Dst: dst, W: w}}})
}

// Multiply implements kernels.Multiplier.
func (t *timed) Multiply(p kernels.Products) {
	start := time.Now()
	t.Backend.Multiply(p)
	out, k := 0, p.List[0].W.Spec().K
	for _, l := range p.List {
		out += l.W.Spec().Out
	}
	name := fmt.Sprintf("product [%d, %d]", out, k)
	if p.Norm != nil {
		name = "norm, " + name
	}
	if p.Gate != kernels.NoGate {
		name += ", gate"
	}
	if p.Take != nil {
		name += ", candidates"
	}
	t.note(name, start, 2*float64(p.Rows)*float64(out)*float64(k))
}

// Gather implements kernels.Backend.
func (t *timed) Gather(dst kernels.Buffer, table kernels.Table, ids []int32) {
	defer t.note("embedding", time.Now(), 0)
	t.Backend.Gather(dst, table, ids)
}

// RMSNorm implements kernels.Backend.
func (t *timed) RMSNorm(dst, x, w kernels.Buffer, rows int, eps float32) {
	defer t.note("norm", time.Now(), 0)
	t.Backend.RMSNorm(dst, x, w, rows, eps)
}

// Rope implements kernels.Backend.
func (t *timed) Rope(x kernels.Buffer, heads, headDim int, pos []int32, table *kernels.RopeTable) {
	defer t.note("rotary embedding", time.Now(), 0)
	t.Backend.Rope(x, heads, headDim, pos, table)
}

// WriteKV implements kernels.Backend.
func (t *timed) WriteKV(kv kernels.KV, layer int, k, v kernels.Buffer, seqs []kernels.SeqRows) {
	defer t.note("KV written", time.Now(), 0)
	t.Backend.WriteKV(kv, layer, k, v, seqs)
}

// Attention implements kernels.Backend.
func (t *timed) Attention(dst, q kernels.Buffer, kv kernels.KV, spec kernels.AttentionSpec, seqs []kernels.SeqRows) {
	defer t.note("attention", time.Now(), 0)
	t.Backend.Attention(dst, q, kv, spec, seqs)
}

// SiLUMul implements kernels.Backend.
func (t *timed) SiLUMul(dst, gate, up kernels.Buffer) {
	defer t.note("activation", time.Now(), 0)
	t.Backend.SiLUMul(dst, gate, up)
}

// GELUMul implements kernels.Backend.
func (t *timed) GELUMul(dst, gate, up kernels.Buffer) {
	defer t.note("activation", time.Now(), 0)
	t.Backend.GELUMul(dst, gate, up)
}

// Add implements kernels.Backend.
func (t *timed) Add(dst, x kernels.Buffer) {
	defer t.note("residual", time.Now(), 0)
	t.Backend.Add(dst, x)
}
