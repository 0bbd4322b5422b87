package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sullae/sullae/cmd/sullae/internal/loadtest"
	"github.com/sullae/sullae/cmd/sullae/internal/screen"
)

// benchCmd is `sullae bench`.
type benchCmd struct {
	Serve   benchServeCmd   `cmd:"" help:"Measure a server: time to the first token, between tokens, throughput, against load."`
	Kernels benchKernelsCmd `cmd:"" help:"Measure this machine's limits and each kernel beside them."`
	Model   benchModelCmd   `cmd:"" help:"Measure a model on this machine: prefill and decode beside the machine's limits."`
}

// benchServeCmd is `sullae bench serve`.
type benchServeCmd struct {
	URL         string       `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"An OpenAI-compatible server, with or without http:// (${default}); what follows it is /v1/..."`
	Model       string       `env:"-" placeholder:"NAME" help:"The model, where several are served."`
	Rate        []float64    `env:"-" placeholder:"R,..." help:"Open loads: requests per second that arrive at random (a Poisson process), one measurement for each rate."`
	Concurrency []int        `env:"-" placeholder:"C,..." help:"Closed loads: clients that each send their next request when the last is answered. Without any load: 1, 4 and 16."`
	Requests    int          `env:"-" placeholder:"N" help:"Requests for each load; without this and --duration, 100."`
	Duration    durationFlag `env:"-" placeholder:"TIME" help:"How long requests begin, for each load."`
	InputLen    int          `env:"-" default:"128" placeholder:"N" help:"Length of prompts in tokens (${default}); words, where the server takes no token ids."`
	OutputLen   int          `env:"-" default:"64" placeholder:"N" help:"Length of answers in tokens (${default}); the most, where the server can't be told to go on."`
	Chat        bool         `env:"-" help:"Use /v1/chat/completions instead of /v1/completions."`
	Extra       string       `env:"-" placeholder:"JSON" help:"Fields for every request, such as '{\"ignore_eos\": true}'."`
	Warmup      int          `env:"-" default:"2" placeholder:"N" help:"Requests before the first measurement (${default})."`
	Timeout     durationFlag `env:"-" default:"10m" help:"How long one answer may take (${default})."`
	Seed        uint64       `env:"-" default:"0" help:"The same seed gives the same prompts and arrivals (${default})."`
	accessFlags
	JSON        string `name:"json" env:"-" placeholder:"FILE" help:"Write all figures as JSON; - for the output, instead of the table."`
	SVG         string `name:"svg" env:"-" placeholder:"FILE" help:"Draw throughput and latency against load."`
	AllowRemote bool   `env:"-" help:"Measure a server on another machine."`
}

// Help is shown below the flags.
func (benchServeCmd) Help() string {
	return `TTFT is the time from when a request is due to its first token, ITL the time from one event with
tokens to the next, E2E the time to the end. Prompts are random, so no cache of prefixes helps.`
}

// Run measures.
func (c *benchServeCmd) Run(ctx context.Context) error { return c.run(ctx, standard()) }

func (c *benchServeCmd) run(ctx context.Context, std streams) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	defer cfg.Client.CloseIdleConnections()
	total := len(cfg.Loads)
	done := 0
	cfg.OnPoint = func(p loadtest.Point) {
		done++
		fmt.Fprintf(std.err, "%d of %d: %v: %d of %d requests in %.1f s, %.1f tok/s\n", done, total, p.Load, p.OK, p.Requests, p.Seconds, p.OutputPerSecond)
	}
	rep, err := loadtest.Run(ctx, cfg)
	if rep == nil || len(rep.Points) == 0 {
		return err
	}
	return errors.Join(err, c.show(rep, std))
}

// config is the flags as a measurement.
func (c *benchServeCmd) config() (cfg loadtest.Config, err error) {
	base, err := httpBase("--url", c.URL)
	if err != nil {
		return cfg, err
	}
	if !c.AllowRemote {
		if err := loadtest.CheckLocal(base); err != nil {
			return cfg, fmt.Errorf("--url: %w", err)
		}
	}
	for _, f := range []struct {
		name  string
		value int
		least int
	}{{"--input-len", c.InputLen, 1}, {"--output-len", c.OutputLen, 1}, {"--requests", c.Requests, 0}, {"--warmup", c.Warmup, 0}} {
		if f.value < f.least {
			return cfg, fmt.Errorf("%s %d: must be at least %d", f.name, f.value, f.least)
		}
	}
	key, err := c.key()
	if err != nil {
		return cfg, err
	}
	security, err := c.tlsConfig()
	if err != nil {
		return cfg, err
	}
	cfg = loadtest.Config{
		Base: base, Client: loadtest.NewClient(c.AllowRemote, security), Key: key, Model: c.Model, Chat: c.Chat,
		InputLen: c.InputLen, OutputLen: c.OutputLen, Requests: c.Requests, Duration: c.Duration,
		Warmup: c.Warmup, Timeout: c.Timeout, Seed: c.Seed,
	}
	if cfg.Requests == 0 && cfg.Duration <= 0 {
		cfg.Requests = 100
	}
	if c.Extra != "" {
		if err := json.Unmarshal([]byte(c.Extra), &cfg.Extra); err != nil {
			return cfg, fmt.Errorf("--extra: not a JSON object: %w", err)
		}
	}
	for _, r := range c.Rate {
		if !(r > 0 && r <= 1e6) {
			return cfg, fmt.Errorf("--rate %g: must be more than 0", r)
		}
		cfg.Loads = append(cfg.Loads, loadtest.Load{Rate: r})
	}
	clients := c.Concurrency
	if len(c.Rate)+len(clients) == 0 {
		clients = []int{1, 4, 16}
	}
	for _, n := range clients {
		if n < 1 || n > 4096 {
			return cfg, fmt.Errorf("--concurrency %d: must be 1 to 4096", n)
		}
		cfg.Loads = append(cfg.Loads, loadtest.Load{Concurrency: n})
	}
	return cfg, nil
}

// show writes the report in all ways that were asked for.
func (c *benchServeCmd) show(rep *loadtest.Report, std streams) error {
	whole := func(w io.Writer) error {
		return printJSON(w, rep)
	}
	if c.SVG != "" {
		if err := writeFile(c.SVG, rep.Draw); err != nil {
			return err
		}
	}
	switch c.JSON {
	case "-":
		return whole(std.out)
	case "":
	default:
		if err := writeFile(c.JSON, whole); err != nil {
			return err
		}
	}
	head := fmt.Sprintf("%s at %s%s, %d tokens in, %d out\n", rep.Model, rep.Target, rep.Endpoint, rep.InputLen, rep.OutputLen)
	_, err := io.WriteString(std.out, screen.Printable(head)+rep.Table(screen.For(std.out)))
	return err
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
