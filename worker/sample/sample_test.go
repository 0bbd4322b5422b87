package sample

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sullae/sullae/kernels/tree"
)

// blockSize of the test vocabularies.
const blockSize = 16

// sums are the (maximum, sum of exp) of each block of a range of logits.
func sums(logits []float32, temperature float64) []float32 {
	var out []float32
	for lo := 0; lo < len(logits); lo += blockSize {
		b := logits[lo:min(lo+blockSize, len(logits))]
		m := float64(slices.Max(b))
		s := 0.0
		for _, x := range b {
			s += math.Exp((float64(x) - m) / temperature)
		}
		out = append(out, float32(m/temperature), float32(s))
	}
	return out
}

// choose runs Local on every rank of a split of the vocabulary and merges.
func choose(t *testing.T, w Want, logits []float32, cuts ...int) (int32, *Scores) {
	t.Helper()
	for _, whole := range []bool{false, true} {
		v := Vocab{Blocks: (len(logits) + blockSize - 1) / blockSize}
		var data [][]byte
		lo := 0
		for _, hi := range append(slices.Clone(cuts), v.Blocks) {
			v.Ranks = append(v.Ranks, tree.Range{Lo: lo, Hi: hi})
			part := logits[min(lo*blockSize, len(logits)):min(hi*blockSize, len(logits))]
			data = append(data, summaryOf(w, part, int32(lo*blockSize), whole))
			lo = hi
		}
		m := NewMerger(v, data)
		tok, s, err := m.Next(w, true, whole)
		if errors.Is(err, ErrWhole) && !whole {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !m.Done() {
			t.Fatal("bytes left over")
		}
		return tok, s
	}
	t.Fatal("the whole row does not settle the choice")
	return 0, nil
}

// summaryOf is what a rank tells of its part of a row.
func summaryOf(w Want, part []float32, base int32, whole bool) []byte {
	var l Local
	l.Reset(w, len(part), whole)
	l.Take(base, part, part)
	return l.Append(nil, sums(part, 1), sums(part, float64(max(w.Params.Temperature, 1e-9))))
}

func randomLogits(rng *rand.Rand, n int, spread float64) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(rng.NormFloat64() * spread)
	}
	return out
}

// TestSplitDoesNotMatter: the choice and the scores have the same bits however
// the vocabulary is spread, empty ranges and short last blocks included.
func TestSplitDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		n := 1 + rng.IntN(700)
		logits := randomLogits(rng, n, []float64{0.01, 1, 8}[i%3])
		if i%5 == 0 { // ties
			for j := range logits {
				logits[j] = float32(math.Round(float64(logits[j])))
			}
		}
		w := Want{Sample: true, Target: -1, Position: rng.IntN(5000), Scores: rng.IntN(22) - 1, Params: Params{TopP: 1, Seed: rng.Uint64()}}
		switch i % 4 {
		case 1:
			w.Params.Temperature = 0.7
		case 2:
			w.Params.Temperature, w.Params.TopP = 1.3, 0.9
		case 3:
			w.Params.Temperature, w.Params.TopK = 1, 1+rng.IntN(50)
			if i%8 == 3 {
				w.Params.TopP = 0.5
			}
			if i%12 == 3 {
				w.Params.MinP = 0.3
			}
		}
		tok, s := choose(t, w, logits)
		blocks := (n + blockSize - 1) / blockSize
		for range 5 {
			a, b, c := rng.IntN(blocks+1), rng.IntN(blocks+1), rng.IntN(blocks+1)
			cuts := []int{a, b, c}
			slices.Sort(cuts)
			tok2, s2 := choose(t, w, logits, cuts...)
			if tok2 != tok || fmt.Sprint(s2) != fmt.Sprint(s) {
				t.Fatalf("case %d, cuts %v: %d %v, whole %d %v", i, cuts, tok2, s2, tok, s)
			}
		}
	}
}

func TestGreedyTies(t *testing.T) {
	logits := make([]float32, 100)
	logits[37], logits[80] = 3, 3
	if tok, _ := choose(t, Want{Sample: true, Target: -1, Scores: -1, Params: Params{TopP: 1}}, logits, 3); tok != 37 {
		t.Errorf("chose %d, want the lower id of the tie, 37", tok)
	}
}

// TestDistribution draws often and compares frequencies with the probabilities
// that temperature, top-k and top-p leave, by a chi-square bound.
func TestDistribution(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	logits := randomLogits(rng, 40, 1.5)
	for _, p := range []Params{
		{Temperature: 1, TopP: 1}, {Temperature: 0.5, TopP: 1}, {Temperature: 1, TopP: 1, TopK: 5},
		{Temperature: 1, TopP: 0.8}, {Temperature: 2, TopP: 0.9, TopK: 10},
		{Temperature: 1, TopP: 1, MinP: 0.2}, {Temperature: 1.5, TopP: 0.7, MinP: 0.1, TopK: 8},
	} {
		want := probabilities(logits, p)
		const draws = 20000
		count := make([]int, len(logits))
		for i := range draws {
			p.Seed = uint64(i)
			tok, _ := choose(t, Want{Sample: true, Target: -1, Scores: -1, Position: i % 100, Params: p}, logits, 1)
			count[tok]++
		}
		chi, cells := 0.0, 0
		for i, q := range want {
			if q == 0 {
				if count[i] > 0 {
					t.Errorf("%+v: token %d was cut but came %d times", p, i, count[i])
				}
				continue
			}
			d := float64(count[i]) - q*draws
			chi += d * d / (q * draws)
			cells++
		}
		if limit := float64(cells) + 5*math.Sqrt(2*float64(cells)); chi > limit {
			t.Errorf("%+v: chi-square %.1f over %d cells, limit %.1f", p, chi, cells, limit)
		}
	}
}

func probabilities(logits []float32, p Params) []float64 {
	type tok struct {
		id int
		w  float64
	}
	var toks []tok
	for i, x := range logits {
		toks = append(toks, tok{i, math.Exp(float64(x) / float64(p.Temperature))})
	}
	slices.SortFunc(toks, func(a, b tok) int { return int(math.Copysign(1, b.w-a.w)) })
	for i, k := range toks {
		if k.w < float64(p.MinP)*toks[0].w {
			toks = toks[:i]
			break
		}
	}
	if p.TopK > 0 {
		toks = toks[:min(p.TopK, len(toks))]
	}
	sum := 0.0
	for _, k := range toks {
		sum += k.w
	}
	acc := 0.0
	for i, k := range toks {
		acc += k.w
		if acc >= float64(p.TopP)*sum {
			toks = toks[:i+1]
			break
		}
	}
	out, sum := make([]float64, len(logits)), 0.0
	for _, k := range toks {
		sum += k.w
	}
	for _, k := range toks {
		out[k.id] = k.w / sum
	}
	return out
}

// TestTopPFallsBack: with flat logits over a large vocabulary 256 candidates a
// rank hold too little probability, and the whole row is asked for.
func TestTopPFallsBack(t *testing.T) {
	logits := make([]float32, 4096)
	w := Want{Sample: true, Target: -1, Scores: -1, Params: Params{Temperature: 1, TopP: 0.95, Seed: 9}}
	part := func(whole bool) error {
		m := NewMerger(Vocab{Blocks: 256, Ranks: []tree.Range{{Lo: 0, Hi: 256}}},
			[][]byte{summaryOf(w, logits, 0, whole)})
		_, _, err := m.Next(w, false, whole)
		return err
	}
	if err := part(false); !errors.Is(err, ErrWhole) {
		t.Errorf("candidates: %v, want ErrWhole", err)
	}
	if err := part(true); err != nil {
		t.Errorf("whole: %v", err)
	}
}

// TestMinPFallsBack: likewise for min-p.
func TestMinPFallsBack(t *testing.T) {
	logits := make([]float32, 4096)
	w := Want{Sample: true, Target: -1, Scores: -1, Params: Params{Temperature: 1, TopP: 1, MinP: 0.5, Seed: 9}}
	m := NewMerger(Vocab{Blocks: 256, Ranks: []tree.Range{{Lo: 0, Hi: 256}}}, [][]byte{summaryOf(w, logits, 0, false)})
	if _, _, err := m.Next(w, false, false); !errors.Is(err, ErrWhole) {
		t.Errorf("candidates: %v, want ErrWhole", err)
	}
	choose(t, w, logits, 100)
}

func TestProcess(t *testing.T) {
	h := NewHistory([]int32{1, 2})
	for _, id := range []int32{2, 3, 3} {
		h.Push(id)
	}
	inf := float32(math.Inf(-1))
	for _, c := range []struct {
		p    Process
		want []float32
	}{
		{Process{}, []float32{1, -1, 2, 4, 5}},
		{Process{Repetition: 2}, []float32{1, -2, 1, 2, 5}},
		{Process{Presence: 1}, []float32{1, -1, 1, 3, 5}},
		{Process{Frequency: 0.5}, []float32{1, -1, 1.5, 3, 5}},
		{Process{Bias: []Bias{{0, 3}, {4, -100}}}, []float32{4, -1, 2, 4, -95}},
		{Process{BadWords: [][]int32{{0}, {3, 3, 4}, {2, 1}}}, []float32{inf, -1, 2, 4, inf}},
		{Process{MinTokens: 4, StopTokens: []int32{2}}, []float32{1, -1, inf, 4, 5}},
		{Process{MinTokens: 3, StopTokens: []int32{2}}, []float32{1, -1, 2, 4, 5}},
	} {
		whole := []float32{1, -1, 2, 4, 5}
		c.p.Apply(whole, 0, h)
		if !slices.Equal(whole, c.want) {
			t.Errorf("%+v: %v, want %v", c.p, whole, c.want)
		}
		parts := []float32{1, -1, 2, 4, 5}
		c.p.Apply(parts[:2], 0, h)
		c.p.Apply(parts[2:], 2, h)
		if !slices.Equal(parts, c.want) {
			t.Errorf("%+v in two parts: %v, want %v", c.p, parts, c.want)
		}
	}
}

func TestScores(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	logits := randomLogits(rng, 500, 3)
	z := 0.0
	for _, x := range logits {
		z += math.Exp(float64(x))
	}
	z = math.Log(z)
	_, s := choose(t, Want{Target: 123, Scores: 5}, logits, 4, 9)
	if d := math.Abs(float64(s.Logprob) - (float64(logits[123]) - z)); d > 1e-5 {
		t.Errorf("logprob off by %g", d)
	}
	if len(s.TopIDs) != 5 || s.TopLogprobs[0] < s.TopLogprobs[4] {
		t.Errorf("top: %+v", s)
	}
}

func TestNotFinite(t *testing.T) {
	nan := float32(math.NaN())
	for _, w := range []Want{
		{Sample: true, Target: -1, Scores: -1, Params: Params{TopP: 1}},
		{Sample: true, Target: -1, Scores: -1, Params: Params{TopP: 1, Temperature: 1}},
		{Sample: true, Target: -1, Scores: -1, Params: Params{TopP: 1, Temperature: 1, TopK: 3}},
		{Target: 2, Scores: 0},
	} {
		logits := []float32{nan, nan, nan}
		m := NewMerger(Vocab{Blocks: 1, Ranks: []tree.Range{{Lo: 0, Hi: 1}}}, [][]byte{summaryOf(w, logits, 0, false)})
		if _, _, err := m.Next(w, true, false); !errors.Is(err, ErrNotFinite) {
			t.Errorf("%+v: %v, want ErrNotFinite", w, err)
		}
	}
}

// FuzzMerge: summaries from a peer that is wrong are errors, not panics.
func FuzzMerge(f *testing.F) {
	w := Want{Sample: true, Target: 3, Scores: 2, Params: Params{Temperature: 1, TopP: 0.9}}
	logits := []float32{1, 2, 3, 4}
	f.Add(summaryOf(w, logits, 0, false), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		w := w
		if kind&1 != 0 {
			w.Params.TopP = 1
		}
		if kind&2 != 0 {
			w.Params.TopK = 2
		}
		m := NewMerger(Vocab{Blocks: 1, Ranks: []tree.Range{{Lo: 0, Hi: 1}}}, [][]byte{data})
		_, _, _ = m.Next(w, true, false)
	})
}

// TestRuns: a summary has the same bytes whatever the runs in which a row is taken,
// their order, and by how many.
func TestRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	odd := []float32{float32(math.NaN()), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), 3, 3, float32(math.Inf(1))}
	for i := range 2000 {
		n := 1 + rng.IntN(5000)
		logits := randomLogits(rng, n, math.Exp2(float64(i%9)-4))
		raw := logits
		if i%3 == 0 {
			raw = randomLogits(rng, n, 1)
		}
		for range i % 4 * 10 {
			logits[rng.IntN(n)] = odd[rng.IntN(len(odd)-1+i%2)]
		}
		w := Want{Sample: true, Position: i, Scores: i%6 - 1, Target: int32(i%5) - 1, Params: Params{Seed: uint64(i), TopP: 1, Temperature: []float32{0, 0.3, 1, 1, 4}[i%5]}}
		switch i % 7 {
		case 1:
			w.Params.TopK = 1 + rng.IntN(300)
		case 2:
			w.Params.TopP = 0.9
		}
		const base = 48
		whole := i%11 == 0
		var one Local
		one.Reset(w, n, whole)
		one.Take(base, raw, logits)
		want := one.Append(nil, nil, nil)

		parts := make([]Local, 1+rng.IntN(3))
		for p := range parts {
			parts[p].Reset(w, n, whole)
		}
		type run struct{ lo, hi int }
		var runs []run
		for lo := 0; lo < n; {
			hi := min(n, lo+1+rng.IntN(700))
			runs, lo = append(runs, run{lo, hi}), hi
		}
		rng.Shuffle(len(runs), func(a, b int) { runs[a], runs[b] = runs[b], runs[a] })
		for _, r := range runs {
			parts[rng.IntN(len(parts))].Take(base+int32(r.lo), raw[r.lo:r.hi], logits[r.lo:r.hi])
		}
		for p := range parts[1:] {
			parts[0].Join(&parts[1+p])
		}
		if got := parts[0].Append(nil, nil, nil); !bytes.Equal(got, want) {
			t.Fatalf("%d: %+v: runs %v in %d parts give another summary", i, w, runs, len(parts))
		}
	}
}

// BenchmarkLocal is a sampled token's cost over a vocabulary of 152,000 whose logits
// are flat, the worst case, and peaked.
func BenchmarkLocal(b *testing.B) {
	for _, spread := range []float32{1, 20} {
		b.Run(fmt.Sprint("spread=", spread), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			logits := make([]float32, 152_000)
			for i := range logits {
				logits[i] = (rng.Float32() - 0.5) * spread
			}
			w := Want{Sample: true, Params: Params{Temperature: 1, TopP: 1, Seed: 7}, Target: -1, Scores: -1}
			var l Local
			for i := 0; b.Loop(); i++ {
				w.Position = i
				l.Reset(w, len(logits), false)
				l.Take(0, logits, logits)
				l.Append(nil, nil, nil)
			}
		})
	}
}
