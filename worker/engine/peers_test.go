package engine_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	demomodel "github.com/sullae/sullae/deploy/demo-model"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/packcache"
	"github.com/sullae/sullae/shard/plan"
	"github.com/sullae/sullae/worker/engine"
)

// holders are shares in memory, as peers.
type holders struct {
	st     *cpu.Backend
	models []*engine.Model
}

// Unit implements engine.Peers.
func (h holders) Unit(_ context.Context, k packcache.Key) *packcache.Unit {
	for _, m := range h.models {
		if m == nil {
			continue
		}
		if data, err := m.Unit(h.st, k); err == nil && data != nil {
			if u, err := packcache.Decode(k, data); err == nil {
				return u
			}
		}
	}
	return nil
}

// TestPeersAnyOrder: whatever shares follow each other, and whoever is lost in
// between, every unit of every share has the bytes that it has where all is read.
func TestPeersAnyOrder(t *testing.T) {
	ckpt, err := checkpoint.OpenFS(demomodel.Files(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	defer ckpt.Close()
	spec := ckpt.Spec()
	b, err := cpu.New(cpu.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	load := func(p plan.Plan, rank int, old *engine.Model, peers engine.Peers) *engine.Model {
		m, err := engine.Load(t.Context(), engine.LoadConfig{Backend: b, Spec: spec, Plan: p, Rank: rank, Source: ckpt, CheckpointID: ckpt.ID(), Old: old, KeepOld: true, Peers: peers})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	whole, err := plan.Make(plan.UnitsOf(spec), []float64{1})
	if err != nil {
		t.Fatal(err)
	}
	truth := load(whole, 0, nil, nil)
	defer truth.Free()
	rng := rand.New(rand.NewPCG(1, 2))
	workers := make([]*engine.Model, 4)
	for round := range 6 {
		n := 1 + rng.IntN(4)
		caps := make([]float64, n)
		for i := range caps {
			caps[i] = 1
		}
		p, err := plan.Make(plan.UnitsOf(spec), caps)
		if err != nil {
			t.Fatal(err)
		}
		if i := rng.IntN(4); workers[i] != nil { // is killed
			workers[i].Free()
			workers[i] = nil
		}
		order := rng.Perm(4)[:n]
		next := make([]*engine.Model, n)
		for rank, w := range order {
			next[rank] = load(p, rank, workers[w], holders{b, workers})
		}
		for rank, w := range order {
			if workers[w] != nil {
				workers[w].Free()
			}
			workers[w] = next[rank]
			m := next[rank]
			for kind, r := range m.Holds() {
				for layer := range spec.Layers {
					for i := r.Lo; i < r.Hi; i++ {
						k := packcache.Key{Checkpoint: ckpt.ID(), Layout: b.Layout(), Format: m.Format().String(), Layer: layer, Kind: kind, Index: i}
						got, err := m.Unit(b, k)
						want, err2 := truth.Unit(b, k)
						if err != nil || err2 != nil || !bytes.Equal(got, want) {
							t.Fatalf("round %d, rank %d of %d: unit %+v differs (%v, %v)", round, rank, n, k, err, err2)
						}
					}
				}
			}
		}
	}
	for _, m := range workers {
		if m != nil {
			m.Free()
		}
	}
}
