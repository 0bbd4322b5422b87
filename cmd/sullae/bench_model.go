package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sullae/sullae/cmd/sullae/internal/measure"
	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/kernels/cuda"
	"github.com/sullae/sullae/ops/cgroup"
	"github.com/sullae/sullae/shard/synth"
	"github.com/sullae/sullae/worker/sample"
)

// benchModelCmd is `sullae bench model`.
type benchModelCmd struct {
	Dir        string   `arg:"" optional:"" help:"The model's folder, or \"demo\"; nothing is a preset of random weights."`
	Preset     string   `env:"-" default:"exaone-1b" placeholder:"NAME" help:"Without a folder: a shape that \"sullae model synth\" knows (${default})."`
	Vocab      int      `env:"-" placeholder:"N" help:"Tokens of a preset's vocabulary; default: the preset's."`
	Quant      []string `env:"-" default:"none,q8,q4" enum:"none,q8,q4" help:"Formats of the weights (${default})."`
	KVType     string   `name:"kv-type" env:"-" default:"f32" enum:"f32,f16,bf16,q8" help:"How the KV cache is kept: f32, f16, bf16 or q8."`
	Threads    int      `short:"t" env:"-" placeholder:"N" help:"Compute threads; default: all cores, or the CPU quota."`
	CPUVariant string   `name:"cpu-variant" env:"-" placeholder:"NAME" help:"Kernels to use (avx512vnni, avxvnni, avx2, portable); default: the best that this CPU has."`
	Device     string   `env:"-" default:"cpu" placeholder:"NAME" help:"cpu, cuda or cuda:N for the Nth GPU (${default})."`
	CUDAExact  bool     `name:"cuda-exact" env:"-" help:"Do not round activations to binary16 for a GPU's tensor cores."`
	Ranks      int      `env:"-" default:"1" help:"Ranks that share the model and the device, over gRPC on the loopback (${default})."`
	Prompt     int      `env:"-" default:"512" help:"Tokens of the prompt that is timed (${default})."`
	Decode     int      `env:"-" default:"64" help:"Steps of decoding that are timed (${default})."`
	Context    int      `env:"-" default:"128" help:"Tokens in each sequence's cache before (${default})."`
	Batch      []int    `env:"-" default:"1,4,8,16,32" help:"Sequences decoded together (${default})."`
	Sample     float32  `env:"-" placeholder:"T" help:"Choose tokens at this temperature; default: the likeliest."`
	TopP       float32  `name:"top-p" env:"-" default:"1" placeholder:"P" help:"With --sample: among the likeliest that make up this probability."`
	Repeat     int      `env:"-" default:"3" help:"Prefills that are timed (${default})."`
	Ops        bool     `env:"-" help:"Tell what each kind of op takes of a step of decoding."`
	JSON       bool     `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is what --help adds.
func (*benchModelCmd) Help() string {
	return `Ranks in this process compute whole steps. tok/s is over all timed steps, best that of the
fastest; GB/s and GOP/s are what the fastest took of the machine, beside the limits measured around it
with as many threads. Of a GPU they are the bandwidth of a copy on it and the peak of its multiply-adds;
the JSON has launches and copies to and from the host too, and, of several ranks, what a step spends
on collectives, on waiting in them, and on copies.`
}

// Run measures.
func (c *benchModelCmd) Run(ctx context.Context) error { return c.run(ctx, standard()) }

func (c *benchModelCmd) run(ctx context.Context, std streams) error {
	cfg := measure.ModelConfig{
		KVType:   kvType(c.KVType),
		Backend:  cpu.Config{Threads: cmp.Or(c.Threads, cgroup.Threads()), Variant: c.CPUVariant},
		Sampling: sample.Params{Temperature: c.Sample, TopP: c.TopP},
		Prompt:   c.Prompt, Decode: c.Decode, Context: c.Context, Batches: c.Batch, Repeat: c.Repeat, Ops: c.Ops, Ranks: c.Ranks,
	}
	if name, number, _ := strings.Cut(c.Device, ":"); name == "cuda" {
		n, err := strconv.Atoi(cmp.Or(number, "0"))
		if err != nil || n < 0 {
			return fmt.Errorf("--device %s: cuda:N with the number of a GPU is meant", c.Device)
		}
		if c.Ops {
			return errors.New("--ops: ops of a GPU are not timed one by one; leave it out, or measure the CPU")
		}
		cfg.GPU = &cuda.Config{Device: n, Exact: c.CUDAExact}
	} else if c.Device != "cpu" {
		return fmt.Errorf("--device %s: not known; cpu, cuda or cuda:N", c.Device)
	}
	for _, n := range append([]int{c.Ranks, c.Prompt, c.Decode, c.Context, c.Repeat, len(c.Batch)}, c.Batch...) {
		if n < 1 {
			return fmt.Errorf("--ranks, --prompt, --decode, --context, --batch, --repeat: %d; a number from 1 on belongs here", n)
		}
	}
	if !(c.Sample >= 0) || !(c.TopP > 0 && c.TopP <= 1) {
		return fmt.Errorf("--sample %v, --top-p %v: a temperature from 0 on and a probability above 0 and up to 1 belong here", c.Sample, c.TopP)
	}
	if c.Vocab != 0 && c.Dir != "" {
		return errors.New("--vocab: of a preset alone; a model's folder has its own")
	}
	name := c.Preset
	if c.Dir != "" {
		m, err := openModel(c.Dir)
		if err != nil {
			return err
		}
		defer m.Close()
		cfg.Spec, cfg.Source, name = m.Spec(), m, m.Name()
	} else {
		src, err := synth.NewSource(synth.Options{Preset: c.Preset, Vocab: c.Vocab})
		if err != nil {
			return err
		}
		cfg.Spec, cfg.Source = src.Spec(), src
	}
	if most := max(c.Prompt, c.Context+c.Decode); most > cfg.Spec.MaxPositions {
		return fmt.Errorf("%d positions are asked for, but %s has a context of %d", most, name, cfg.Spec.MaxPositions)
	}
	for _, q := range c.Quant {
		f, err := kernels.ParseFormat(q)
		if err != nil {
			return fmt.Errorf("--quant: %w", err)
		}
		cfg.Formats = append(cfg.Formats, f)
	}
	start := time.Now()
	cfg.OnResult = func(r measure.ModelResult) {
		fmt.Fprintf(std.err, "%3.0f s: %s %s, batch %d: %.1f tok/s\n", time.Since(start).Seconds(), r.Format, r.Phase, r.Batch, r.TokensPerSecond)
	}
	rep, err := measure.Model(ctx, cfg)
	if rep != nil && (err == nil || len(rep.Results) > 0) { // what was measured before an error
		if c.JSON {
			err = errors.Join(err, printJSON(std.out, struct {
				Model string `json:"model"`
				*measure.ModelReport
			}{name, rep}))
		} else {
			_, werr := io.WriteString(std.out, modelReport(name, rep))
			err = errors.Join(err, werr)
		}
	}
	return err
}

// modelReport is the table of a report.
func modelReport(name string, rep *measure.ModelReport) string {
	head := fmt.Sprintf("%s, %.2f G parameters, %s/%s, %s, KV in %s\n", name, float64(rep.Parameters)/1e9, rep.Backend, rep.Variant, count(rep.Threads, "thread"), rep.KVType)
	rows := [][]screen.Cell{{{Text: "QUANT"}, {Text: "PHASE"}, figure("BATCH"), figure("TOK/S"), figure("BEST"), figure("GB/S"), figure("OF LIMIT"), figure("GOP/S"), figure("OF LIMIT")}}
	for _, r := range rep.Results {
		compute := 0.0
		if r.OfCompute > 0 {
			compute = r.Compute / r.OfCompute
		}
		rows = append(rows, []screen.Cell{{Text: r.Format}, {Text: r.Phase}, figure(fmt.Sprint(r.Batch)),
			figure(fmt.Sprintf("%.1f", r.TokensPerSecond)), figure(fmt.Sprintf("%.1f", r.BestTokensPerSecond)),
			figure(fmt.Sprintf("%.1f", r.Read)), figure(share(r.OfRead, r.Limits.Read)),
			figure(fmt.Sprintf("%.0f", r.Compute)), figure(share(r.OfCompute, compute))})
	}
	text := screen.Printable(head) + screen.Table(rows)
	for _, r := range rep.Results {
		if len(r.Ops) > 0 {
			text += fmt.Sprintf("\n%s, a step of decoding %d:\n", r.Format, r.Batch) + opTable(r)
		}
	}
	return text
}

// opTable is what the ops of a step took.
func opTable(r measure.ModelResult) string {
	rows := [][]screen.Cell{{{Text: "OP"}, figure("CALLS"), figure("µs"), figure("SHARE"), figure("GOP/S"), figure("OF LIMIT")}}
	total := 0.0
	for _, o := range r.Ops {
		total += o.Microseconds
	}
	for _, o := range r.Ops {
		row := []screen.Cell{{Text: o.Name}, figure(fmt.Sprint(o.Calls)), figure(fmt.Sprintf("%.1f", o.Microseconds)),
			figure(fmt.Sprintf("%.0f %%", 100*o.Microseconds/total))}
		if o.Compute > 0 {
			row = append(row, figure(fmt.Sprintf("%.0f", o.Compute)), figure(fmt.Sprintf("%.0f %%", 100*o.Compute*r.OfCompute/r.Compute)))
		}
		rows = append(rows, row)
	}
	return screen.Table(rows)
}

func figure(text string) screen.Cell { return screen.Cell{Text: text, Right: true} }

// share is a figure as part of its limit, and the limit.
func share(of, limit float64) string {
	if limit == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %% of %.0f", 100*of, limit)
}
