package main

import (
	"errors"
	"fmt"

	"github.com/sullae/sullae/coordinator/tokenizer"
	demomodel "github.com/sullae/sullae/deploy/demo-model"
	"github.com/sullae/sullae/shard/checkpoint"
)

// modelCmd is `sullae model`.
type modelCmd struct {
	Inspect modelInspectCmd `cmd:"" help:"Show what a model folder holds."`
	Plan    modelPlanCmd    `cmd:"" help:"Show how a model would be shared by workers."`
	Synth   modelSynthCmd   `cmd:"" help:"Make a model folder with random weights, for tests and measurements."`
}

// demoName stands for the built-in model where a folder is asked for; a folder
// of this name is ./demo.
const demoName = "demo"

// openModel opens a model folder, or the built-in model for "" and "demo".
func openModel(dir string) (*checkpoint.Checkpoint, error) {
	if dir == "" || dir == demoName {
		return checkpoint.OpenFS(demomodel.Files(), demoName)
	}
	return checkpoint.Open(dir)
}

// loadTokenizer is the tokenizer of an opened model, nil where it has none.
func loadTokenizer(c *checkpoint.Checkpoint) (*tokenizer.Tokenizer, error) {
	t, err := tokenizer.Read(c.FS())
	if errors.Is(err, tokenizer.ErrNoTokenizer) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name(), err)
	}
	return t, nil
}
