package measure

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/kernels/tensor"
)

// KernelConfig is what to measure of the kernels.
type KernelConfig struct {
	Backend cpu.Config
	Threads []int
	Shapes  []Shape
	Rows    []int // of the products
	Context int   // positions that attention sees
	// Time is how long each figure is tried; the best counts.
	Time     time.Duration
	OnResult func(KernelResult)
}

// Shape is a matrix [Out, K] whose K is cut in Leaves.
type Shape struct {
	Out    int `json:"out"`
	K      int `json:"k"`
	Leaves int `json:"leaves"`
}

// KernelResult is one kernel's figure beside the limit that binds it.
type KernelResult struct {
	Kernel  string  `json:"kernel"`
	Threads int     `json:"threads"`
	Rows    int     `json:"rows"`
	Micros  float64 `json:"microseconds"`
	Rate    float64 `json:"rate"`
	Unit    string  `json:"unit"` // GB/s or GOP/s
	Limit   float64 `json:"limit"`
	OfLimit float64 `json:"of_limit"`
}

// KernelReport is all figures; Limits are the best seen for each thread count.
type KernelReport struct {
	Variant string         `json:"variant"`
	Limits  []Limits       `json:"limits"`
	Results []KernelResult `json:"results"`
}

// Kernels measures the products in each format, attention, and the element-wise
// ops.
func Kernels(ctx context.Context, cfg KernelConfig) (*KernelReport, error) {
	rep := &KernelReport{}
	for _, threads := range cfg.Threads {
		c := cfg.Backend
		c.Threads = threads
		if err := kernelsWith(ctx, cfg, c, rep); err != nil {
			return rep, err
		}
	}
	return rep, nil
}

// kernelRun measures with one number of threads.
type kernelRun struct {
	cfg   KernelConfig
	b     *cpu.Backend
	probe *prober
	rep   *KernelReport
}

func kernelsWith(ctx context.Context, cfg KernelConfig, c cpu.Config, rep *KernelReport) error {
	b, err := cpu.New(c)
	if err != nil {
		return err
	}
	defer b.Close()
	rep.Variant = b.Info().Variant
	probe, err := newProber(b)
	if err != nil {
		return err
	}
	defer probe.close()
	k := &kernelRun{cfg, b, probe, rep}
	for _, s := range cfg.Shapes {
		for _, d := range []tensor.DType{tensor.F32, tensor.BF16, tensor.F16} {
			if err := k.product(ctx, s, d, kernels.AsStored); err != nil {
				return err
			}
		}
		for _, f := range []kernels.Format{kernels.Q8, kernels.Q4} {
			if err := k.product(ctx, s, tensor.BF16, f); err != nil {
				return err
			}
		}
	}
	for t := range kernels.KVQ8 + 1 {
		for _, rows := range []int{1, min(512, cfg.Context)} {
			if err := k.attention(ctx, t, rows); err != nil {
				return err
			}
		}
	}
	if err := k.elements(ctx); err != nil {
		return err
	}
	rep.Limits = append(rep.Limits, probe.best)
	return nil
}

// time runs f for a while, its limit measured before and after.
func (k *kernelRun) time(ctx context.Context, r KernelResult, work float64, limit func(Limits) float64, f func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	before := k.probe.now()
	f()
	best := time.Duration(math.MaxInt64)
	for start := time.Now(); time.Since(start) < k.cfg.Time; {
		t := time.Now()
		f()
		best = min(best, time.Since(t))
	}
	r.Threads, r.Micros, r.Rate = k.b.Info().Threads, float64(best)/1e3, work/float64(best)
	if r.Limit = limit(higher(before, k.probe.now())); r.Limit > 0 {
		r.OfLimit = r.Rate / r.Limit
	}
	k.rep.Results = append(k.rep.Results, r)
	if k.cfg.OnResult != nil {
		k.cfg.OnResult(r)
	}
	return nil
}

// fewRows is where a product stops being bound by memory, about.
const fewRows = 8

// cachesHold is more than any cache holds.
const cachesHold = 256 << 20

func (k *kernelRun) product(ctx context.Context, s Shape, d tensor.DType, f kernels.Format) error {
	name := d.String()
	if f != kernels.AsStored {
		name = f.String()
	}
	leaves := make([]int, s.Leaves+1)
	for i := range leaves {
		leaves[i] = s.K * i / s.Leaves
	}
	var list []kernels.Weight
	defer func() {
		for _, w := range list {
			w.Free()
		}
	}()
	for size := int64(0); size < cachesHold; size += list[0].Bytes() {
		w, err := k.b.Pack(kernels.WeightSpec{Name: "bench", Out: s.Out, K: s.K, DType: d, Format: f, Leaves: leaves}, pattern{s.K, d})
		if err != nil {
			return err
		}
		list = append(list, w)
	}
	for _, rows := range k.cfg.Rows {
		x, err := k.values(rows * s.K)
		if err != nil {
			return err
		}
		dst, err := k.b.Alloc(rows * s.Out)
		if err != nil {
			return err
		}
		i := 0
		run := func() {
			k.b.MatMul(dst, x, list[i%len(list)], rows)
			i++
		}
		r := KernelResult{Kernel: fmt.Sprintf("product %s %dx%d/%d", name, s.Out, s.K, s.Leaves), Rows: rows}
		if rows <= fewRows {
			r.Unit = "GB/s"
			err = k.time(ctx, r, float64(list[0].Bytes()), func(l Limits) float64 { return l.Read }, run)
		} else {
			r.Unit = "GOP/s"
			err = k.time(ctx, r, 2*float64(rows)*float64(s.Out)*float64(s.K), func(l Limits) float64 { return l.of(f, d) }, run)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// values is a buffer of numbers around zero.
func (k *kernelRun) values(n int) (kernels.Buffer, error) {
	buf, err := k.b.Alloc(n)
	if err != nil {
		return nil, err
	}
	host := make([]float32, n)
	for i := range host {
		host[i] = float32(i*7919%2003-1001) / 1001
	}
	return buf, k.b.Upload(buf, host)
}

// pattern is a RowReader of numbers below 2 in size.
type pattern struct {
	k int
	d tensor.DType
}

// ReadRows implements kernels.RowReader.
func (p pattern) ReadRows(dst []byte, row, _, _, _ int) error {
	size := p.d.Size()
	for i := range dst {
		dst[i] = byte((i + row*31) * 167)
		if i%size == size-1 {
			dst[i] = dst[i]&0x83 | 0x3c // the exponent of a number near 1 in every type
		}
	}
	return nil
}

// attention is that of one layer with 32 query and 8 KV heads of 128.
func (k *kernelRun) attention(ctx context.Context, t kernels.KVType, rows int) error {
	const heads, kvHeads, dim, size = 32, 8, 128, 16
	context := (k.cfg.Context + size - 1) / size * size
	kv, err := k.b.NewKV(kernels.KVConfig{Layers: 1, Blocks: context / size, BlockSize: size, KVHeads: kvHeads, HeadDim: dim, Type: t})
	if err != nil {
		return err
	}
	defer kv.Free()
	spec := kernels.AttentionSpec{Heads: heads, HeadDim: dim, Scale: 0.1}
	for h := range heads {
		spec.KVHead = append(spec.KVHead, h*kvHeads/heads)
	}
	all := kernels.SeqRows{N: context}
	for b := range context / size {
		all.Blocks = append(all.Blocks, int32(b))
	}
	keys, err := k.values(context * kvHeads * dim)
	if err != nil {
		return err
	}
	k.b.WriteKV(kv, 0, keys, keys, []kernels.SeqRows{all})
	q, err := k.values(rows * heads * dim)
	if err != nil {
		return err
	}
	dst, err := k.b.Alloc(rows * heads * dim)
	if err != nil {
		return err
	}
	all.N, all.Pos = rows, context-rows
	run := func() { k.b.Attention(dst, q, kv, spec, []kernels.SeqRows{all}) }
	r := KernelResult{Kernel: fmt.Sprintf("attention %v over %d", t, context), Rows: rows}
	if rows == 1 {
		r.Unit = "GB/s"
		return k.time(ctx, r, float64(kv.Bytes()), func(l Limits) float64 { return l.Read }, run)
	}
	r.Unit = "GOP/s"
	seen := float64(rows) * (float64(context) - float64(rows-1)/2)
	return k.time(ctx, r, 4*seen*heads*dim, func(l Limits) float64 { return l.FMA }, run)
}

// elements are the element-wise ops over a prompt's rows, as bytes read and
// written: the limit is only near what binds them, since they work in the caches.
func (k *kernelRun) elements(ctx context.Context) error {
	const rows, c = 64, 4096
	var buf [3]kernels.Buffer
	for i := range buf {
		b, err := k.values(rows * c)
		if err != nil {
			return err
		}
		buf[i] = b
	}
	x, y, z := buf[0], buf[1], buf[2]
	pos := make([]int32, rows)
	table := kernels.NewRopeTable(kernels.InvFreq(10_000, 128), 1, 1)
	for _, op := range []struct {
		name    string
		touched float64 // values read or written for each element
		f       func()
	}{
		{"rms norm", 3, func() { k.b.RMSNorm(z, x, y.Slice(0, c), rows, 1e-5) }},
		{"rope", 2, func() { k.b.Rope(z, c/128, 128, pos, table) }},
		{"silu-mul", 3, func() { k.b.SiLUMul(z, x, y) }},
		{"gelu-mul", 3, func() { k.b.GELUMul(z, x, y) }},
		{"soft cap", 2, func() { k.b.SoftCap(z, 30) }},
		{"add", 3, func() { k.b.Add(z, x) }},
		{"exp-sums", 1, func() { k.b.ExpSums(z, x, rows, c, 1024) }},
	} {
		r := KernelResult{Kernel: op.name, Rows: rows, Unit: "GB/s"}
		if err := k.time(ctx, r, 4*op.touched*rows*c, func(l Limits) float64 { return l.Read }, op.f); err != nil {
			return err
		}
	}
	return nil
}
