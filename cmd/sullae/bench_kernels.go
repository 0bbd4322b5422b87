package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/sullae/sullae/cmd/sullae/internal/measure"
	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/ops/cgroup"
)

// benchKernelsCmd is `sullae bench kernels`.
type benchKernelsCmd struct {
	Threads    []int        `short:"t" env:"-" placeholder:"N,..." help:"Compute threads; default: 1, and all cores or the CPU quota."`
	CPUVariant string       `name:"cpu-variant" env:"-" placeholder:"NAME" help:"Kernels to use (avx512vnni, avxvnni, avx2, portable); default: the best that this CPU has."`
	Shape      []string     `env:"-" default:"2048x2048,2048x7168/32" placeholder:"OUTxK[/LEAVES],..." help:"Matrices (${default})."`
	Rows       []int        `env:"-" default:"1,2,4,8,32,512" placeholder:"N,..." help:"Rows of the products (${default})."`
	Context    int          `env:"-" default:"4096" help:"Positions that attention sees (${default})."`
	Time       durationFlag `env:"-" default:"100ms" help:"How long each figure is tried; the best counts (${default})."`
	JSON       bool         `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is what --help adds.
func (*benchKernelsCmd) Help() string {
	return `Each kernel stands beside the limit that binds it, measured around it with as many threads: products of
few rows and decoding attention beside the memory's read bandwidth, products of many rows and a prompt's
attention beside the peak of the instructions that they are made of.`
}

// Run measures.
func (c *benchKernelsCmd) Run(ctx context.Context) error { return c.run(ctx, standard()) }

func (c *benchKernelsCmd) run(ctx context.Context, std streams) error {
	cfg := measure.KernelConfig{Backend: cpu.Config{Variant: c.CPUVariant}, Threads: c.Threads, Rows: c.Rows, Context: c.Context, Time: c.Time}
	if len(cfg.Threads) == 0 {
		cfg.Threads = slices.Compact([]int{1, cgroup.Threads()})
	}
	for _, n := range append(append([]int{c.Context}, cfg.Threads...), c.Rows...) {
		if n < 1 {
			return fmt.Errorf("--context, --threads, --rows: %d; a number from 1 on belongs here", n)
		}
	}
	for _, text := range c.Shape {
		s := measure.Shape{Leaves: 1}
		if n, _ := fmt.Sscanf(text, "%dx%d/%d", &s.Out, &s.K, &s.Leaves); n < 2 || s.Out < 1 || s.Leaves < 1 || s.K < s.Leaves {
			return fmt.Errorf("--shape %q: OUTxK or OUTxK/LEAVES belongs here, as 2048x7168/32", text)
		}
		cfg.Shapes = append(cfg.Shapes, s)
	}
	cfg.OnResult = func(r measure.KernelResult) {
		fmt.Fprintf(std.err, "%s, %s, %s: %.1f %s\n", count(r.Threads, "thread"), r.Kernel, count(r.Rows, "row"), r.Rate, r.Unit)
	}
	rep, err := measure.Kernels(ctx, cfg)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.out, rep)
	}
	_, err = io.WriteString(std.out, kernelReport(rep))
	return err
}

// kernelReport is the tables of a report: the limits, then the kernels.
func kernelReport(rep *measure.KernelReport) string {
	limits := [][]screen.Cell{{figure("THREADS"), figure("READ GB/S"), figure("F32 GFLOP/S"), figure("8-BIT GOP/S"), figure("4-BIT GOP/S")}}
	for _, l := range rep.Limits {
		limits = append(limits, []screen.Cell{figure(fmt.Sprint(l.Threads)), figure(fmt.Sprintf("%.1f", l.Read)), figure(fmt.Sprintf("%.0f", l.FMA)),
			figure(fmt.Sprintf("%.0f", l.Int8)), figure(fmt.Sprintf("%.0f", l.Int4))})
	}
	rows := [][]screen.Cell{{{Text: "KERNEL"}, figure("ROWS"), figure("THREADS"), figure("µS"), figure("RATE"), {Text: "UNIT"}, figure("OF LIMIT")}}
	for _, r := range rep.Results {
		rows = append(rows, []screen.Cell{{Text: r.Kernel}, figure(fmt.Sprint(r.Rows)), figure(fmt.Sprint(r.Threads)), figure(fmt.Sprintf("%.1f", r.Micros)),
			figure(fmt.Sprintf("%.1f", r.Rate)), {Text: r.Unit}, figure(share(r.OfLimit, r.Limit))})
	}
	return screen.Printable(fmt.Sprintf("cpu/%s\n", rep.Variant)) + screen.Table(limits) + "\n" + screen.Table(rows)
}
