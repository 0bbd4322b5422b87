package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sullae/sullae/kernels/tree"
	"github.com/sullae/sullae/shard/model"
)

// spec parses a config of the given shape.
func spec(t testing.TB, hidden, layers, heads, kvHeads, headDim, ffn, vocab int, tied bool) *model.Spec {
	t.Helper()
	s, err := model.Parse(fmt.Appendf(nil, `{"architectures": ["ExaoneForCausalLM"], "hidden_size": %d,
		"num_layers": %d, "num_attention_heads": %d, "num_key_value_heads": %d, "head_dim": %d,
		"intermediate_size": %d, "vocab_size": %d, "tie_word_embeddings": %v, "activation_function": "silu",
		"layer_norm_epsilon": 1e-5, "rope_theta": 500000, "max_position_embeddings": 4096, "torch_dtype": "bfloat16"}`,
		hidden, layers, heads, kvHeads, headDim, ffn, vocab, tied), nil, "test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func exaone30(t testing.TB) *model.Spec { return spec(t, 4096, 32, 32, 8, 128, 14336, 102400, false) }

func ones(n int) []float64 { return slices.Repeat([]float64{1}, n) }

func mustMake(t testing.TB, u Units, caps []float64) Plan {
	t.Helper()
	p, err := Make(u, caps)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestUnits pins the rule of the cut, which every result's bits depend on.
func TestUnits(t *testing.T) {
	for _, c := range []struct{ ffn, mlpUnit, mlpLeaves, vocab, vocabUnit, vocabLeaves int }{
		{14336, 448, 32, 102400, 1600, 64},
		{7168, 224, 32, 32000, 512, 63},
		{240, 8, 30, 640, 16, 40},
		{160, 8, 20, 512, 16, 32},
		{1023, 32, 32, 4618, 80, 58},
		{1024, 32, 32, 1024, 16, 64},
		{1025, 64, 17, 1025, 32, 33},
		{11008, 352, 32, 1, 16, 1},
		{1, 8, 1, 128256, 2016, 64},
	} {
		u := UnitsOf(&model.Spec{Heads: 32, KVHeads: 8, FFN: c.ffn, Vocab: c.vocab})
		got := []int{u.MLPUnit, u.MLPLeaves(), u.VocabUnit, u.VocabLeaves()}
		if want := []int{c.mlpUnit, c.mlpLeaves, c.vocabUnit, c.vocabLeaves}; !slices.Equal(got, want) {
			t.Errorf("F %d, V %d: got %v, want %v", c.ffn, c.vocab, got, want)
		}
	}
}

// TestEven: equal workers in a power-of-two number get equal parts, each of
// them one subtree.
func TestEven(t *testing.T) {
	u := UnitsOf(exaone30(t))
	for _, ranks := range []int{1, 2, 4, 8, 16, 32} {
		p := mustMake(t, u, ones(ranks))
		for r, s := range p.Shares {
			for _, d := range []struct {
				n   int
				got tree.Range
			}{{u.Heads, s.Heads}, {u.MLPLeaves(), s.MLP}, {u.VocabLeaves(), s.Vocab}} {
				want := tree.Range{Lo: r * d.n / ranks, Hi: (r + 1) * d.n / ranks}
				if d.got != want || len(tree.Maximal(d.n, d.got)) != 1 {
					t.Errorf("%d ranks, rank %d: %v, want %v", ranks, r, d.got, want)
				}
			}
		}
	}
}

// TestChoices pins plans whose reasons can be told.
func TestChoices(t *testing.T) {
	u := UnitsOf(exaone30(t))
	for _, c := range []struct {
		why   string
		caps  []float64
		heads []int
		mlp   []int
	}{
		{"11+10+11 heads touch 3+4+3 KV heads: 14 of work each", ones(3), []int{11, 10, 11}, []int{11, 11, 10}},
		{"cuts at groups cost nothing", ones(6), []int{6, 6, 6, 6, 4, 4}, []int{6, 6, 5, 5, 5, 5}},
		{"twice the capacity, twice the work", []float64{2, 1, 1}, []int{16, 8, 8}, []int{16, 8, 8}},
		{"a very small worker has a head, and no more", []float64{1, 1e-12, 1}, []int{16, 1, 15}, []int{16, 0, 16}},
	} {
		p := mustMake(t, u, c.caps)
		var heads, mlp []int
		for _, s := range p.Shares {
			heads, mlp = append(heads, s.Heads.Len()), append(mlp, s.MLP.Len())
		}
		if !slices.Equal(heads, c.heads) || !slices.Equal(mlp, c.mlp) {
			t.Errorf("%s: %v: heads %v, MLP %v; want %v, %v", c.why, c.caps, heads, mlp, c.heads, c.mlp)
		}
	}
}

func TestMakeErrors(t *testing.T) {
	u := UnitsOf(exaone30(t))
	for _, c := range []struct {
		u    Units
		caps []float64
		want string
	}{
		{u, nil, "0 workers; a model with 32 query heads is shared by 1 to 32"},
		{u, ones(33), "33 workers; a model with 32 query heads is shared by 1 to 32"},
		{u, []float64{1, 0}, "rank 1: capacity 0"},
		{u, []float64{-1}, "rank 0: capacity -1"},
		{u, []float64{1, 1, math.NaN()}, "rank 2: capacity NaN"},
		{u, []float64{math.Inf(1)}, "rank 0: capacity +Inf"},
		{Units{}, ones(1), "units"},
	} {
		if _, err := Make(c.u, c.caps); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %q", c.caps, err, c.want)
		}
	}
}

// randomCase is a random cut and random capacities for it.
func randomCase(rnd *rand.Rand) (Units, []float64) {
	kv := 1 + rnd.IntN(9)
	s := &model.Spec{KVHeads: kv, Heads: kv * (1 + rnd.IntN(5)), FFN: 1 + rnd.IntN(3000), Vocab: 1 + rnd.IntN(5000)}
	caps := make([]float64, 1+rnd.IntN(s.Heads))
	for i := range caps {
		switch rnd.IntN(3) {
		case 0:
			caps[i] = 1
		case 1:
			caps[i] = 0.25 + rnd.Float64()
		case 2:
			caps[i] = math.Pow(10, 4*rnd.Float64()-2)
		}
	}
	return UnitsOf(s), caps
}

// TestProperties: whatever the model and the workers, a plan is whole, depends
// on nothing but its arguments and the capacities' ratios, and gives more to
// more capacity.
func TestProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 600 {
		u, caps := randomCase(rnd)
		p := mustMake(t, u, caps)
		if err := p.Validate(); err != nil {
			t.Fatalf("%+v %v: %v", u, caps, err)
		}
		if again := mustMake(t, u, caps); !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v %v: two plans", u, caps)
		}
		scaled := slices.Clone(caps)
		for i := range scaled {
			scaled[i] *= 1024 // a power of two, so that the ratios keep their bits
		}
		if again := mustMake(t, u, scaled); !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v %v: another plan for capacities in another unit", u, caps)
		}
		for i, a := range p.Shares {
			for j, b := range p.Shares {
				// The MLP grows with capacity. Rounding to leaves and the margin
				// leave room for one leaf between workers nearly alike.
				if caps[i] >= caps[j] && a.MLP.Len() < b.MLP.Len()-1 {
					t.Fatalf("%+v %v: rank %d has %d MLP leaves, the smaller rank %d has %d",
						u, caps, i, a.MLP.Len(), j, b.MLP.Len())
				}
			}
		}
	}
}

// TestShortest compares the longest time with that of every possible plan.
func TestShortest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		caps := make([]float64, 1+rnd.IntN(4))
		for i := range caps {
			caps[i] = 0.1 + rnd.Float64()
		}
		least := rnd.IntN(2)
		n := len(caps)*least + rnd.IntN(9)
		group := 1 + rnd.IntN(3)
		d := deal{n: n, least: least, caps: caps, load: func(r tree.Range) int {
			if r.Empty() {
				return 0
			}
			return r.Len() + (r.Hi+group-1)/group - r.Lo/group
		}}
		longest := func(cuts []int) float64 {
			worst := 0.0
			for r := range caps {
				worst = max(worst, d.time(r, tree.Range{Lo: cuts[r], Hi: cuts[r+1]}))
			}
			return worst
		}
		best := math.Inf(1)
		cuts := make([]int, len(caps)+1)
		var try func(r int)
		try = func(r int) {
			if r == len(caps) {
				if cuts[r] == n {
					best = min(best, longest(cuts))
				}
				return
			}
			for p := cuts[r] + least; p <= n; p++ {
				cuts[r+1] = p
				try(r + 1)
			}
		}
		try(0)
		if got := d.shortest(); got != best {
			t.Fatalf("n %d, capacities %v: shortest %g, by trying all %g", n, caps, got, best)
		}
		if got := longest(d.cuts()); got > best*(1+margin) {
			t.Fatalf("n %d, capacities %v: time %g, possible %g", n, caps, got, best)
		}
	}
}

func TestPartials(t *testing.T) {
	for n := 1; n <= 40; n++ {
		for lo := 0; lo <= n; lo++ {
			for hi := lo; hi <= n; hi++ {
				r := tree.Range{Lo: lo, Hi: hi}
				if got, want := partials(tree.Range{Hi: n}, r), len(tree.Maximal(n, r)); got != want {
					t.Fatalf("%v of %d: %d, want %d", r, n, got, want)
				}
			}
		}
	}
}

func TestValidate(t *testing.T) {
	u := UnitsOf(exaone30(t))
	for _, c := range []struct {
		damage func(p *Plan)
		want   string
	}{
		{func(p *Plan) { p.Shares = nil }, "0 ranks"},
		{func(p *Plan) { p.Shares = slices.Repeat(p.Shares, 20) }, "60 ranks for 32 query heads"},
		{func(p *Plan) { p.Units.KVHeads = 7 }, "KV heads do not divide"},
		{func(p *Plan) { p.Units.MLPUnit = 0 }, "every number must be in"},
		{func(p *Plan) { p.Shares[0].Heads.Lo = 1 }, "rank 0: query heads [1, 11) after 0"},
		{func(p *Plan) { p.Shares[1].Heads.Hi = p.Shares[1].Heads.Lo }, "rank 1: query heads [11, 11)"},
		{func(p *Plan) { p.Shares[1].MLP.Lo-- }, "rank 1: MLP leaves [10, 22) after 11 of 32"},
		{func(p *Plan) { p.Shares[2].MLP.Hi++ }, "rank 2: MLP leaves [22, 33) after 22 of 32"},
		{func(p *Plan) { p.Shares[2].Vocab.Hi-- }, "vocabulary blocks [63, 64) belong to no rank"},
		{func(p *Plan) { p.Shares[1].Vocab.Hi = -5 }, "rank 1: vocabulary blocks"},
	} {
		p := mustMake(t, u, ones(3))
		c.damage(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	p := mustMake(t, u, ones(3))
	if err := p.Fits(exaone30(t)); err != nil {
		t.Error(err)
	}
	if err := p.Fits(spec(t, 4096, 32, 32, 8, 128, 7168, 102400, false)); err == nil {
		t.Error("a plan of another model fits")
	}
}
