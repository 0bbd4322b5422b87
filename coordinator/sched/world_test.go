package sched

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sullae/sullae/collective/digest"
)

// world is a scheduler, a fake group, and clients that come and go at random.
type world struct {
	t      testing.TB
	rng    *rand.Rand
	cfg    Config
	s      *Scheduler
	r      *ranks
	plans  []Step // planned and not yet executed
	seeds  map[uint64]uint64
	open   map[uint64]*client // unfinished
	ended  [][]int32          // prompt and output of some that finished: the next turn of a chat
	texts  [][]int32          // prefixes that prompts share
	lastID uint64
	steps  int

	first      uint64 // the sequence that comes before all others
	firstSince int
	maxFirst   int // steps that one was first
}

// client is what a request must and did yield.
type client struct {
	Request
	want, got []int32
	scored    int
}

// randomConfig has little of everything.
func randomConfig(rng *rand.Rand) Config {
	cfg := Config{
		MaxBatchedTokens: 1 + rng.IntN(64), MaxSeqs: 1 + rng.IntN(10), MaxModelLen: 100,
		BlockSize: 1 + rng.IntN(8), PrefixCache: rng.IntN(3) > 0, Depth: 1 + rng.IntN(3),
	}
	if rng.IntN(3) == 0 {
		for range 1 + rng.IntN(3) {
			cfg.Windows = append(cfg.Windows, rng.IntN(2)*(1+rng.IntN(40)))
		}
	}
	if rng.IntN(3) == 0 {
		cfg.LongAfter = 1 + rng.IntN(90)
	}
	longest := (cfg.MaxModelLen + cfg.BlockSize - 1) / cfg.BlockSize
	longest *= max(1, len(cfg.Windows))
	cfg.Blocks = longest + rng.IntN(1+longest*rng.IntN(4))
	if rng.IntN(2) == 0 {
		cfg.MaxPrefillChunk = 1 + rng.IntN(cfg.MaxBatchedTokens)
	}
	if rng.IntN(3) == 0 {
		cfg.MaxWaiting, cfg.MaxWaitingTokens = 1+rng.IntN(10), 1+rng.IntN(500)
	}
	return cfg
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), seeds: map[uint64]uint64{}, open: map[uint64]*client{}}
	w.cfg = randomConfig(w.rng)
	if w.rng.IntN(2) == 0 {
		w.cfg.Draft = w.draft
	}
	w.s, w.r = New(w.cfg), newRanks(w.cfg, w.seeds)
	for range 3 {
		w.texts = append(w.texts, w.random(50))
	}
	return w
}

func (w *world) random(n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(w.rng.IntN(97))
	}
	return out
}

// draft proposes tokens that are often right.
func (w *world) draft(id uint64, tokens []int32, limit int) []int32 {
	h := digest.Tokens(digest.Start, tokens...)
	var out []int32
	for range min(limit, int(h>>8%6)) {
		t := sampled(h^kindOf(w.cfg, len(tokens)+len(out)), w.seeds[id])
		if h>>16%4 == 0 {
			t = (t + 1) % 97
		}
		out = append(out, t)
		h = digest.Tokens(h, t)
	}
	return out
}

// arrive adds a request, sometimes of several choices.
func (w *world) arrive() {
	var prompt []int32
	switch w.rng.IntN(4) {
	case 0:
		prompt = w.random(1 + w.rng.IntN(60))
	case 1:
		if len(w.ended) > 0 { // the next turn
			prompt = slices.Concat(w.ended[w.rng.IntN(len(w.ended))], w.random(w.rng.IntN(10)))
			break
		}
		fallthrough
	default:
		prompt = slices.Concat(w.texts[w.rng.IntN(len(w.texts))][:w.rng.IntN(50)], w.random(1+w.rng.IntN(10)))
	}
	prompt = prompt[:min(len(prompt), 60)]
	r := Request{Prompt: prompt, MaxTokens: w.rng.IntN(40), StopTokens: []int32{5}, PromptScores: w.rng.IntN(5) == 0, MaxDrafts: w.rng.IntN(4)}
	if w.rng.IntN(4) == 0 {
		r.Priority = w.rng.IntN(3) - 1
	}
	r.Tenant = string("abc"[w.rng.IntN(3)])
	rs := []Request{r}
	for w.rng.IntN(3) == 0 {
		rs = append(rs, r)
	}
	for i := range rs {
		w.lastID++
		rs[i].ID = w.lastID
		w.seeds[w.lastID] = w.rng.Uint64() % 8
	}
	if err := w.s.Add(rs...); err != nil {
		return
	}
	for _, r := range rs {
		w.open[r.ID] = &client{Request: r, want: alone(w.cfg, r, w.seeds[r.ID])}
	}
}

// move sends a waiting sequence to another group and back, under another id.
func (w *world) move() {
	all := w.s.Sequences()
	if waiting, _ := w.s.Unfinished(); waiting > 0 {
		from := all[len(all)-1-w.rng.IntN(waiting)].ID
		m := w.s.Detach(from)
		w.lastID++
		if err := w.s.Attach(w.lastID, m); err != nil {
			w.t.Fatal(err)
		}
		w.open[w.lastID], w.seeds[w.lastID] = w.open[from], w.seeds[from]
		delete(w.open, from)
		if w.first == from {
			w.first = w.lastID
		}
		w.check()
	}
}

// turn lets one random thing happen.
func (w *world) turn(arrivals bool) {
	if arrivals && w.rng.IntN(5) == 0 && len(w.open) < 60 {
		w.arrive()
	}
	if w.rng.IntN(40) == 0 && w.lastID > 0 {
		id := 1 + w.rng.Uint64N(w.lastID)
		w.s.Abort(id)
		delete(w.open, id)
		w.check()
	}
	if w.rng.IntN(100) == 0 {
		w.reset()
	}
	if w.rng.IntN(50) == 0 {
		w.move()
	}
	if w.rng.IntN(3) > 0 { // else the results come first
		if plan, ok := w.s.Schedule(); ok {
			w.planned(plan)
			return
		}
		w.check()
		if waiting, running := w.s.Unfinished(); len(w.plans) == 0 && waiting+running > 0 {
			w.t.Fatalf("%d waiting and %d running sequences, but nothing is planned", waiting, running)
		}
	}
	if len(w.plans) > 0 {
		w.retire()
	}
}
