package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/plan"
)

// modelPlanCmd is `sullae model plan`.
type modelPlanCmd struct {
	Dir        string    `arg:"" optional:"" help:"The model's folder or .gguf file; \"demo\" or nothing is the built-in model."`
	Workers    int       `env:"-" xor:"share" required:"" placeholder:"N" help:"Share it evenly by N workers."`
	Capacities []float64 `env:"-" xor:"share" required:"" placeholder:"C" help:"Share it by one worker for each number, in these proportions."`
	KVType     string    `name:"kv-type" env:"-" default:"f32" enum:"f32,f16,bf16,q8" help:"How the KV cache is kept: f32, f16, bf16 or q8."`
	JSON       bool      `name:"json" env:"-" help:"Print one JSON object."`
}

// Run prints the plan.
func (c *modelPlanCmd) Run(ctx context.Context) error { return c.run(standard()) }

func (c *modelPlanCmd) run(std streams) error {
	m, err := openModel(c.Dir)
	if err != nil {
		return err
	}
	defer m.Close()
	s := m.Spec()
	capacities := c.Capacities
	if capacities == nil {
		if c.Workers < 1 || c.Workers > s.Heads {
			return fmt.Errorf("--workers %d: %s has %d query heads, so 1 to %d workers can share it", c.Workers, m.Name(), s.Heads, s.Heads)
		}
		for range c.Workers {
			capacities = append(capacities, 1)
		}
	}
	p, err := plan.Make(plan.UnitsOf(s), capacities)
	if err != nil {
		return err
	}
	table := plan.TableOf(s, p, checkpoint.Types(m), kvType(c.KVType))
	if c.JSON {
		enc := json.NewEncoder(std.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(planObject(m.Name(), table))
	}
	_, err = io.WriteString(std.out, screen.Printable(fmt.Sprintf("%s, %s\n%s", m.Name(), count(len(table), "worker"), table)))
	return err
}

// planJSON is a plan with its totals.
type planJSON struct {
	Model   string       `json:"model"`
	Workers []planWorker `json:"workers"`
	Totals  struct {
		WeightBytes          int64 `json:"weight_bytes"`
		KVBytesPer1000Tokens int64 `json:"kv_bytes_per_1000_tokens"`
	} `json:"totals"`
}

type planWorker struct {
	plan.Row
	KVBytesPer1000Tokens int64 `json:"kv_bytes_per_1000_tokens"`
}

func planObject(name string, table plan.Table) planJSON {
	o := planJSON{Model: name}
	for _, r := range table {
		kv := 1000 * r.KVBytesPerToken
		o.Workers = append(o.Workers, planWorker{r, kv})
		o.Totals.WeightBytes += r.WeightBytes
		o.Totals.KVBytesPer1000Tokens += kv
	}
	return o
}
