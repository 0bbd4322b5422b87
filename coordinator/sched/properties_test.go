package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// must runs one step and returns what ended with it; ok is false if there was
// nothing to plan.
func must(t testing.TB, s *Scheduler, r *ranks) (plan Step, ended []uint64, ok bool) {
	t.Helper()
	plan, ok = s.Schedule()
	if !ok {
		return plan, nil, false
	}
	results, err := r.run(plan)
	if err != nil {
		t.Fatal(err)
	}
	for i, it := range plan.Items {
		if p, ok := s.Update(it, results[i]...); ok && p.Finish != NotFinished {
			ended = append(ended, it.ID)
		}
	}
	return plan, ended, true
}

func add(t testing.TB, s *Scheduler, rs ...Request) {
	t.Helper()
	if err := s.Add(rs...); err != nil {
		t.Fatal(err)
	}
}

// TestSameTokens: block size, budget, chunks, prefix cache, depth, drafts and a
// tiny pool change the steps, never the tokens.
func TestSameTokens(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	var rs []Request
	seeds := map[uint64]uint64{}
	for id := uint64(1); id <= 24; id++ {
		r := Request{ID: id, Prompt: text(fmt.Sprintf("%c%d", "ST"[id%2], 20+rng.IntN(20))), MaxTokens: 1 + rng.IntN(20), StopTokens: []int32{5}, MaxDrafts: rng.IntN(4)}
		r.Prompt = append(r.Prompt, text(fmt.Sprintf("%c%d", 'a'+rune(id%9), rng.IntN(9)))...)
		rs = append(rs, r)
		seeds[id] = rng.Uint64()
	}
	w := &world{seeds: seeds}
	base := Config{MaxBatchedTokens: 64, MaxSeqs: 8, MaxModelLen: 80, Blocks: 400, BlockSize: 4}
	for name, change := range map[string]func(*Config){
		"base":               func(*Config) {},
		"blocks of 1":        func(c *Config) { c.BlockSize = 1 },
		"blocks of 16":       func(c *Config) { c.BlockSize = 16 },
		"budget of 3":        func(c *Config) { c.MaxBatchedTokens = 3 },
		"chunks":             func(c *Config) { c.MaxPrefillChunk = 7 },
		"one at a time":      func(c *Config) { c.MaxSeqs = 1 },
		"cache":              func(c *Config) { c.PrefixCache = true },
		"cache, blocks of 1": func(c *Config) { c.PrefixCache, c.BlockSize = true, 1 },
		"cache, tiny pool":   func(c *Config) { c.PrefixCache, c.Blocks = true, 20 },
		"tiny pool":          func(c *Config) { c.Blocks = 20 },
		"ahead":              func(c *Config) { c.Depth = 2 },
		"drafts":             func(c *Config) { c.Draft = w.draft },
		"window":             func(c *Config) { c.Windows, c.Depth = []int{9}, 2 },
		"window, cache":      func(c *Config) { c.Windows, c.PrefixCache = []int{9}, true },
		"groups":             func(c *Config) { c.Windows, c.PrefixCache, c.Depth = []int{0, 9, 9}, true, 2 },
		"long":               func(c *Config) { c.LongAfter, c.Depth = 30, 2 },
		"all": func(c *Config) {
			*c = Config{MaxBatchedTokens: 17, MaxSeqs: 5, MaxModelLen: 80, Blocks: 30, BlockSize: 3, PrefixCache: true, MaxPrefillChunk: 9, Depth: 2, Draft: w.draft}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := base
			change(&cfg)
			s, r := New(cfg), newRanks(cfg, seeds)
			add(t, s, rs...)
			got := map[uint64][]int32{}
			var plans []Step
			for {
				plan, ok := s.Schedule()
				if ok {
					plans = append(plans, plan)
					continue
				}
				if len(plans) == 0 {
					break
				}
				results, err := r.run(plans[0])
				if err != nil {
					t.Fatal(err)
				}
				for i, it := range plans[0].Items {
					if p, ok := s.Update(it, results[i]...); ok {
						got[it.ID] = append(got[it.ID], results[i][:p.Tokens]...)
					}
				}
				plans = plans[1:]
			}
			for _, q := range rs {
				if want := alone(cfg, q, seeds[q.ID]); !slices.Equal(got[q.ID], want) {
					t.Errorf("sequence %d: got %v, want %v", q.ID, got[q.ID], want)
				}
			}
			st := s.Stats()
			if cfg.PrefixCache != (st.PrefixHits > 0) || (cfg.Blocks <= 30) != (st.Preemptions > 0) {
				t.Errorf("unexpected: %+v", st)
			}
		})
	}
}

// TestTenantsShareAlike: who floods the queue doesn't keep others waiting, be it
// under one name or under ever new ones.
func TestTenantsShareAlike(t *testing.T) {
	for _, names := range []int{1, 5, 1 << 30} {
		t.Run(fmt.Sprint(names, " names"), func(t *testing.T) {
			cfg := Config{MaxBatchedTokens: 32, MaxSeqs: 4, MaxModelLen: 64, Blocks: 64, BlockSize: 4}
			s, r := New(cfg), newRanks(cfg, nil)
			id, worst := uint64(0), 0
			flood := func() {
				id++
				add(t, s, Request{ID: id, Prompt: text("a8"), MaxTokens: 8, Tenant: fmt.Sprint("flood", int(id)%names)})
			}
			for range 40 {
				flood()
			}
			for range 3 {
				id++
				mine := id
				add(t, s, Request{ID: mine, Prompt: text("b8"), MaxTokens: 8, Tenant: "quiet"})
				for steps := 0; ; steps++ {
					flood()
					if _, ended, _ := must(t, s, r); slices.Contains(ended, mine) {
						worst = max(worst, steps)
						break
					}
				}
			}
			// Alone it takes 8 steps. It may have to wait for a slot, and for one
			// request of each other tenant: four start in 8 steps. Ever new names are
			// as many tenants as have requests waiting.
			limit := 8 + 8*(2+names/4)
			if names > 100 {
				limit = 8 + 8*(2+int(id)/4)
			}
			t.Logf("at most %d steps", worst)
			if worst > limit {
				t.Errorf("a request of a quiet tenant took %d steps", worst)
			}
		})
	}
}

// TestTenantsForgotten: names are clients' to choose; accounts don't pile up.
func TestTenantsForgotten(t *testing.T) {
	cfg := Config{MaxBatchedTokens: 8, MaxSeqs: 1, MaxModelLen: 64, Blocks: 64, BlockSize: 4}
	s, r := New(cfg), newRanks(cfg, nil)
	for id := range uint64(5000) {
		add(t, s, Request{ID: id, Prompt: text("a8"), MaxTokens: 1, Tenant: fmt.Sprint(id)}, Request{ID: id + 1<<20, Prompt: text("a8"), MaxTokens: 1, Tenant: "x"})
		must(t, s, r)
		s.Abort(id - 10 + 1<<20)
		if n := len(s.tenants.byName); n > rememberedTenants+s.tenants.live+1 {
			t.Fatalf("%d accounts", n)
		}
	}
}

// TestUrgent: a request of a higher priority has rows in the next step, however
// full the group is.
func TestUrgent(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cfg := Config{MaxBatchedTokens: 16, MaxSeqs: 1 + rng.IntN(6), MaxModelLen: 64, Blocks: 16 + rng.IntN(40), BlockSize: 4, PrefixCache: true}
		s, r := New(cfg), newRanks(cfg, map[uint64]uint64{})
		for id := range uint64(20) {
			add(t, s, Request{ID: id + 1, Prompt: text(fmt.Sprintf("%c%d", 'a'+rune(id%5), 1+rng.IntN(40))), MaxTokens: 1 + rng.IntN(20), Priority: 1 + rng.IntN(2)})
		}
		for range rng.IntN(30) {
			must(t, s, r)
		}
		add(t, s, Request{ID: 99, Prompt: text("S40"), MaxTokens: 2})
		plan, _, _ := must(t, s, r)
		if plan.Items[0].ID != 99 || plan.Items[0].Count < 8 {
			t.Fatalf("seed %d: the urgent request has no part of %+v", seed, plan)
		}
	}
}

// TestAbortFreesAtOnce: a cancelled sequence's blocks are free before the next
// step, whatever was in flight.
func TestAbortFreesAtOnce(t *testing.T) {
	s := New(Config{MaxBatchedTokens: 64, MaxSeqs: 8, MaxModelLen: 64, Blocks: 16, BlockSize: 4, Depth: 2})
	for id := range uint64(5) {
		add(t, s, Request{ID: id, Prompt: text("a9"), MaxTokens: 9})
	}
	s.Schedule()
	s.Schedule()
	for id := range uint64(5) {
		s.Abort(id)
	}
	if free, total := s.Blocks(); free != total {
		t.Errorf("%d of %d blocks free", free, total)
	}
}

// BenchmarkSchedule is a step of 64 decoding sequences, with as many as there
// may be waiting.
func BenchmarkSchedule(b *testing.B) {
	cfg := Config{MaxBatchedTokens: 512, MaxSeqs: 64, MaxModelLen: 1 << 20, Blocks: 1 << 16, BlockSize: 16, PrefixCache: true, Depth: 2}
	s := New(cfg)
	prompt := text("a1000")
	for id := range uint64(10_000) {
		add(b, s, Request{ID: id, Prompt: prompt, MaxTokens: 10_000, Tenant: fmt.Sprint(id % 100)})
	}
	var last Step
	for b.Loop() {
		plan, ok := s.Schedule()
		if !ok {
			b.Fatal("nothing to plan")
		}
		for _, it := range last.Items {
			s.Update(it, 1)
		}
		last = plan
	}
}
