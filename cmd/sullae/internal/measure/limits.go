// Package measure times the arithmetic of one machine: its limits, the kernels
// beside them, and whole models. It uses the engine in this process, with no
// network.
package measure

import (
	"time"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/kernels/tensor"
)

// Limits are what the machine can do at most with a number of threads, in
// units of 10^9 per second; 0 where the variant has no such instruction.
type Limits struct {
	Threads int        `json:"threads"`
	Read    float64    `json:"read_gb_per_second"`
	FMA     float64    `json:"f32_gflop_per_second"`
	Int8    float64    `json:"int8_gop_per_second"`
	Int4    float64    `json:"int4_gop_per_second"`
	GPU     *GPULimits `json:"gpu,omitempty"`
}

// GPULimits are a GPU's own. Its Limits have the copy bandwidth (bytes read and
// written) as Read, and dp4a as Int8 and Int4.
type GPULimits struct {
	// Products is what computes products of many rows: "wgmma", "mma.sync", or "float32".
	Products string  `json:"products"`
	BF16     float64 `json:"bf16_gflop_per_second"` // of the tensor cores, at best
	MMA      float64 `json:"mma_sync_gflop_per_second"`
	ToDevice float64 `json:"to_device_gb_per_second"`
	ToHost   float64 `json:"to_host_gb_per_second"`
	// A kernel that does nothing, launched alone, and as one of a graph.
	Launch      float64 `json:"launch_microseconds"`
	GraphLaunch float64 `json:"graph_launch_microseconds"`
}

// of is the arithmetic limit of a format's products, of weights stored as d.
func (l Limits) of(f kernels.Format, d tensor.DType) float64 {
	switch f {
	case kernels.Q8:
		return l.Int8
	case kernels.Q4:
		return l.Int4
	}
	if l.GPU != nil && d == tensor.BF16 {
		return l.GPU.BF16
	}
	return l.FMA
}

// prober measures limits again and again, so that each figure has one from the
// same minute: on shared machines they move.
type prober struct {
	p    *cpu.Probes
	best Limits
}

func newProber(b *cpu.Backend) (*prober, error) {
	p, err := b.Probes()
	if err != nil {
		return nil, err
	}
	return &prober{p: p, best: Limits{Threads: b.Info().Threads}}, nil
}

func (p *prober) close() { p.p.Close() }

// probeRuns of each probe; the best counts.
const probeRuns = 5

// now measures the limits and keeps the best in p.best.
func (p *prober) now() Limits {
	l := Limits{Threads: p.best.Threads}
	for _, x := range []struct {
		f        func() float64
		to, best *float64
	}{{p.p.Read, &l.Read, &p.best.Read}, {p.p.FMA, &l.FMA, &p.best.FMA}, {p.p.Int8, &l.Int8, &p.best.Int8}, {p.p.Int4, &l.Int4, &p.best.Int4}} {
		if x.f == nil {
			continue
		}
		for range probeRuns {
			start := time.Now()
			work := x.f()
			*x.to = max(*x.to, work/float64(time.Since(start)))
		}
		*x.best = max(*x.best, *x.to)
	}
	return l
}

// higher is the larger of two measurements of each limit.
func higher(a, b Limits) Limits {
	return Limits{Threads: a.Threads, Read: max(a.Read, b.Read), FMA: max(a.FMA, b.FMA), Int8: max(a.Int8, b.Int8), Int4: max(a.Int4, b.Int4), GPU: higherGPU(a.GPU, b.GPU)}
}

func higherGPU(a, b *GPULimits) *GPULimits {
	if a == nil || b == nil {
		return a
	}
	return &GPULimits{Products: a.Products, BF16: max(a.BF16, b.BF16), MMA: max(a.MMA, b.MMA), ToDevice: max(a.ToDevice, b.ToDevice), ToHost: max(a.ToHost, b.ToHost),
		Launch: min(a.Launch, b.Launch), GraphLaunch: min(a.GraphLaunch, b.GraphLaunch)}
}
