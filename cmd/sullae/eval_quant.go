package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sullae/sullae/cmd/sullae/internal/evaluate"
	"github.com/sullae/sullae/cmd/sullae/internal/measure"
	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/coordinator/tokenizer"
	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/ops/cgroup"
)

// evalQuantCmd is `sullae eval quant`.
type evalQuantCmd struct {
	File       string   `arg:"" help:"A text; - is the input."`
	Model      string   `env:"-" default:"demo" placeholder:"DIR" help:"The model's folder, or \"demo\" (${default})."`
	Quant      []string `env:"-" default:"q8,q4" enum:"q8,q4" help:"Formats of the weights (${default})."`
	KVType     []string `name:"kv-type" env:"-" enum:"f16,bf16,q8" placeholder:"TYPE,..." help:"Narrower KV caches to measure too, with the weights as stored: f16, bf16, q8."`
	Context    int      `env:"-" default:"512" placeholder:"N" help:"Tokens that are computed as one text (${default})."`
	Limit      int      `env:"-" placeholder:"N" help:"Take the first N tokens only."`
	Threads    int      `short:"t" env:"-" placeholder:"N" help:"Compute threads; default: all cores."`
	CPUVariant string   `name:"cpu-variant" env:"-" placeholder:"NAME" help:"Kernels to use (avx512vnni, avx2, portable); default: the best that this CPU has."`
	JSON       bool     `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is shown below the flags.
func (evalQuantCmd) Help() string {
	return `The text is computed in this process with the weights as stored and, side by side, with each format that
"--quant" and "--kv-type" of a coordinator know; all of them are in memory. KL is the divergence of the
distribution of the next token from that of the stored weights, in nats; SAME how often the likeliest token is the same.`
}

// Run measures.
func (c *evalQuantCmd) Run(ctx context.Context) error { return c.run(ctx, standard()) }

func (c *evalQuantCmd) run(ctx context.Context, std streams) error {
	text, err := readText(c.File, std.in)
	if err != nil {
		return err
	}
	m, err := openModel(c.Model)
	if err != nil {
		return err
	}
	defer m.Close()
	tok, err := loadTokenizer(m)
	if err == nil && tok == nil {
		err = errors.New("has no tokenizer: texts can't be measured with it")
	}
	if err != nil {
		return fmt.Errorf("--model %s: %w", c.Model, err)
	}
	if most := m.Spec().MaxPositions; c.Context < 2 || c.Context > most {
		return fmt.Errorf("--context %d: must be 2 to %d, the context of %s", c.Context, most, m.Name())
	}
	ids, err := tok.Encode(text, tokenizer.EncodeOptions{AddSpecial: true, ParseSpecial: true})
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Limit > 0 {
		ids = ids[:min(c.Limit, len(ids))]
	}
	if len(ids) < 2 {
		return fmt.Errorf("%s has %d tokens: nothing can be scored", c.File, len(ids))
	}
	cfg := measure.LossConfig{Spec: m.Spec(), Source: m, Backend: cpu.Config{Threads: cmp.Or(c.Threads, cgroup.Threads()), Variant: c.CPUVariant}}
	for _, w := range evaluate.Windows(len(ids), c.Context, c.Context-1) {
		cfg.Texts = append(cfg.Texts, ids[w.From:w.To])
	}
	for _, q := range c.Quant {
		f, err := kernels.ParseFormat(q)
		if err != nil {
			return fmt.Errorf("--quant: %w", err)
		}
		cfg.Variants = append(cfg.Variants, measure.Stored{Format: f, KV: kernels.KVF32})
	}
	for _, k := range c.KVType {
		cfg.Variants = append(cfg.Variants, measure.Stored{Format: kernels.AsStored, KV: kvType(k)})
	}
	start, last := time.Now(), time.Now()
	cfg.OnTokens = func(done, total int) {
		if time.Since(last) > 5*time.Second {
			last = time.Now()
			fmt.Fprintf(std.err, "%d of %d tokens, %.1f tok/s\n", done, total, float64(done)/time.Since(start).Seconds())
		}
	}
	losses, err := measure.MeasureLoss(ctx, cfg)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.out, struct {
			Model   string         `json:"model"`
			File    string         `json:"file"`
			Context int            `json:"context"`
			Results []measure.Loss `json:"results"`
		}{m.Name(), c.File, c.Context, losses})
	}
	rows := [][]screen.Cell{{{Text: "WEIGHTS"}, {Text: "KV"}, figure("SIZE"), figure("PERPLEXITY"), figure("MORE"), figure("KL"), figure("MEDIAN"), figure("99 %"), figure("MAX"), figure("SAME")}}
	for i, l := range losses {
		row := []screen.Cell{{Text: l.Format}, {Text: l.KV}, figure(screen.Bytes(l.Weights)), figure(fmt.Sprintf("%.4f", l.Perplexity))}
		if i > 0 {
			row = append(row, figure(fmt.Sprintf("%+.3f %%", 100*l.Increase)))
			for _, kl := range []float64{l.KL, l.KLMedian, l.KL99, l.KLMax} {
				row = append(row, figure(fmt.Sprintf("%.6f", kl)))
			}
			row = append(row, figure(fmt.Sprintf("%.2f %%", 100*l.SameTop)))
		}
		rows = append(rows, row)
	}
	head := screen.Printable(fmt.Sprintf("%s on %s, %d tokens", m.Name(), c.File, losses[0].Tokens)) + "\n"
	_, err = io.WriteString(std.out, head+screen.Table(rows))
	return err
}
