package measure

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/sullae/sullae/kernels"
	"github.com/sullae/sullae/kernels/cpu"
	"github.com/sullae/sullae/shard/checkpoint"
	"github.com/sullae/sullae/shard/model"
	"github.com/sullae/sullae/worker/engine"
	"github.com/sullae/sullae/worker/sample"
)

// Stored is a way to keep weights, keys and values.
type Stored struct {
	Format kernels.Format
	KV     kernels.KVType
}

// LossConfig is what to compare.
type LossConfig struct {
	Spec    *model.Spec
	Source  checkpoint.Source
	Backend cpu.Config
	// Texts are computed each for itself; every token but a text's first counts.
	Texts    [][]int32
	Variants []Stored
	// OnTokens is told how many tokens are done.
	OnTokens func(done, total int)
}

// Loss is how far a variant is from the model as stored, with keys and values in F32.
type Loss struct {
	Format     string  `json:"quant"`
	KV         string  `json:"kv_type"`
	Tokens     int     `json:"tokens"`
	Weights    int64   `json:"weight_bytes"`
	Perplexity float64 `json:"perplexity"`
	// Increase is the perplexity's, relative to that of the model as stored.
	Increase float64 `json:"perplexity_increase"`
	// KL divergence of the variant's distribution from the stored model's, in nats per
	// token: sum of p (log p - log q).
	KL       float64 `json:"kl_mean"`
	KLMedian float64 `json:"kl_median"`
	KL99     float64 `json:"kl_p99"`
	KLMax    float64 `json:"kl_max"`
	// SameTop is the share of places where both find the same token likeliest.
	SameTop float64 `json:"same_top"`

	nats float64
	kls  []float64
	same int
}

// MeasureLoss computes the texts with the model as stored and with each variant, side by
// side. The first result is the stored model's own.
func MeasureLoss(ctx context.Context, cfg LossConfig) (_ []Loss, err error) {
	b, err := cpu.New(cfg.Backend)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	longest, total := 0, 0
	for _, t := range cfg.Texts {
		longest, total = max(longest, len(t)), total+len(t)-1
	}
	variants := append([]Stored{{kernels.AsStored, kernels.KVF32}}, cfg.Variants...)
	models := map[kernels.Format]*engine.Model{}
	defer func() {
		for _, m := range models {
			m.Free()
		}
	}()
	losses := make([]Loss, len(variants))
	scorers := make([]*scorer, len(variants))
	for i, v := range variants {
		m := models[v.Format]
		if m == nil {
			if m, err = loadWhole(ctx, b, cfg.Spec, cfg.Source, v.Format); err != nil {
				return nil, fmt.Errorf("%v: %w", v.Format, err)
			}
			models[v.Format] = m
		}
		if scorers[i], err = newScorer(b, cfg.Spec, m, v.KV, longest); err != nil {
			return nil, err
		}
		defer scorers[i].close()
		losses[i] = Loss{Format: v.Format.String(), KV: v.KV.String(), Tokens: total, Weights: m.Bytes()}
	}
	done := 0
	for _, text := range cfg.Texts {
		for at := 0; at < len(text)-1; {
			n := min(scorers[0].chunk(), len(text)-1-at)
			if err := compare(ctx, scorers, losses, text, at, n); err != nil {
				return nil, err
			}
			at += n
			done += n
			if cfg.OnTokens != nil {
				cfg.OnTokens(done, total)
			}
		}
	}
	for i := range losses {
		losses[i].finish(losses[0].nats)
	}
	return losses, nil
}

// compare scores n tokens with all scorers, the first of which is the standard.
func compare(ctx context.Context, scorers []*scorer, losses []Loss, text []int32, at, n int) error {
	standard, err := scorers[0].score(ctx, text, at, n)
	if err != nil {
		return err
	}
	var other []float32
	for i, s := range scorers {
		l := &losses[i]
		got := standard
		if i > 0 {
			if got, err = s.score(ctx, text, at, n); err != nil {
				return fmt.Errorf("weights %s, KV %s: %w", l.Format, l.KV, err)
			}
		}
		for j := range got {
			l.nats -= float64(got[j].Logprob)
			if got[j].TopIDs[0] == standard[j].TopIDs[0] {
				l.same++
			}
			if i > 0 {
				other = dense(other, &got[j], s.spec.Vocab)
				l.kls = append(l.kls, divergence(&standard[j], other))
			}
		}
	}
	return nil
}

// dense are the log-probabilities of all tokens by id.
func dense(dst []float32, s *sample.Scores, vocab int) []float32 {
	if dst == nil {
		dst = make([]float32, vocab)
	}
	for i, id := range s.TopIDs {
		dst[id] = s.TopLogprobs[i]
	}
	return dst
}

// divergence is KL(p || q) in nats; it is never less than 0, but for rounding.
func divergence(p *sample.Scores, q []float32) float64 {
	kl := 0.0
	for i, id := range p.TopIDs {
		l := float64(p.TopLogprobs[i])
		kl += math.Exp(l) * (l - float64(q[id]))
	}
	return max(kl, 0)
}

func (l *Loss) finish(standard float64) {
	n := float64(l.Tokens)
	l.Perplexity = math.Exp(l.nats / n)
	l.Increase = math.Exp((l.nats-standard)/n) - 1
	l.SameTop = float64(l.same) / n
	if len(l.kls) == 0 {
		return
	}
	slices.Sort(l.kls)
	for _, k := range l.kls {
		l.KL += k / n
	}
	l.KLMedian, l.KL99, l.KLMax = l.kls[len(l.kls)/2], l.kls[len(l.kls)*99/100], l.kls[len(l.kls)-1]
}
