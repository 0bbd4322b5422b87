package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/sullae/sullae/cmd/sullae/internal/evaluate"
	"github.com/sullae/sullae/cmd/sullae/internal/screen"
)

// evalPerplexityCmd is `sullae eval perplexity`.
type evalPerplexityCmd struct {
	File string `arg:"" help:"A text; - is the input."`
	evalFlags
	Stride int `env:"-" placeholder:"N" help:"Tokens from one window to the next; less than --context. Default: one less, so that each window sees one token of the last."`
}

// Help is shown below the flags.
func (evalPerplexityCmd) Help() string {
	return `The text is cut into windows of --context tokens; every token but the first counts once, with what its
window has before it. A smaller --stride gives each token more context, and takes longer.`
}

// Run measures.
func (c *evalPerplexityCmd) Run(ctx context.Context) error { return c.run(ctx, standard()) }

func (c *evalPerplexityCmd) run(ctx context.Context, std streams) error {
	text, err := readText(c.File, std.in)
	if err != nil {
		return err
	}
	e, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer e.close()
	if c.Stride == 0 {
		c.Stride = c.Context - 1
	}
	if c.Stride < 1 || c.Stride >= c.Context {
		return fmt.Errorf("--stride %d: must be 1 to %d, less than --context", c.Stride, c.Context-1)
	}
	end := func() {}
	p, err := evaluate.MeasurePerplexity(ctx, evaluate.PerplexityConfig{
		Context: c.Context, Stride: c.Stride, Parallel: c.Concurrency, Tokenize: e.tokenize, Score: e.score, Done: &e.done,
		OnWindows: func(n int) { end = e.progress(std.err, n) },
	}, text)
	end()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.out, struct {
			Model   string `json:"model"`
			File    string `json:"file"`
			Context int    `json:"context"`
			Stride  int    `json:"stride"`
			*evaluate.Perplexity
		}{e.model.GetId(), c.File, c.Context, c.Stride, p})
	}
	row := func(name, value string) []screen.Cell { return []screen.Cell{{Text: name}, figure(value)} }
	table := screen.Table([][]screen.Cell{
		row("tokens scored", fmt.Sprint(p.Scored)),
		row("windows", fmt.Sprintf("%d of %d tokens, every %d", p.Windows, c.Context, c.Stride)),
		row("perplexity per token", fmt.Sprintf("%.4f", p.Perplexity)),
		row("per word", fmt.Sprintf("%.4f", p.PerWord)),
		row("per byte", fmt.Sprintf("%.4f", p.PerByte)),
		row("bits per byte", fmt.Sprintf("%.4f", p.BitsPerByte)),
	})
	_, err = io.WriteString(std.out, screen.Printable(e.model.GetId()+" on "+c.File)+"\n"+table)
	return err
}

// readText reads a file of text, or the input.
func readText(path string, in io.Reader) (string, error) {
	raw, err := []byte(nil), error(nil)
	if path == "-" {
		raw, err = io.ReadAll(in)
	} else {
		raw, err = os.ReadFile(path)
	}
	switch {
	case err != nil:
		return "", err
	case len(raw) == 0:
		return "", fmt.Errorf("%s is empty", path)
	case !utf8.Valid(raw):
		return "", fmt.Errorf("%s is not UTF-8", path)
	}
	return string(raw), nil
}
