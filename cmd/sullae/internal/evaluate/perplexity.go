package evaluate

import (
	"context"
	"fmt"
	"math"
	"strings"
)

// Window is a stretch of tokens that is computed at once: Tokens[From:To], of which
// those from Score on count. The tokens before it are its context.
type Window struct{ From, Score, To int }

// Windows cuts n tokens into windows of at most context tokens, each beginning stride
// tokens after the last, so that every token but the first counts once. stride is less
// than context.
func Windows(n, context, stride int) []Window {
	var out []Window
	for from, scored := 0, 1; scored < n; from += stride {
		to := min(from+context, n)
		out = append(out, Window{from, scored, to})
		scored = to
	}
	return out
}

// Perplexity is a text's measure.
type Perplexity struct {
	Tokens  int `json:"tokens"`
	Scored  int `json:"scored_tokens"` // all but the first
	Bytes   int `json:"bytes"`
	Words   int `json:"words"` // between white space
	Windows int `json:"windows"`
	// Nats is the sum of the tokens' negative log-probabilities.
	Nats       float64 `json:"nats"`
	Perplexity float64 `json:"perplexity"` // exp(Nats / Scored)
	// Per word and byte, which makes models of different vocabularies comparable.
	PerWord     float64 `json:"word_perplexity"`
	PerByte     float64 `json:"byte_perplexity"`
	BitsPerByte float64 `json:"bits_per_byte"`
}

// PerplexityConfig is how a text is measured.
type PerplexityConfig struct {
	Context, Stride int // see Windows
	Parallel        int
	Tokenize        Tokenizer
	Score           Scorer
	Done            *Done
	// OnWindows is told how many windows there are.
	OnWindows func(n int)
}

// MeasurePerplexity measures a text.
func MeasurePerplexity(ctx context.Context, cfg PerplexityConfig, text string) (*Perplexity, error) {
	tokens, err := cfg.Tokenize(ctx, text)
	if err != nil {
		return nil, err
	}
	if len(tokens) < 2 {
		return nil, fmt.Errorf("the text has %d tokens: nothing can be scored", len(tokens))
	}
	windows := Windows(len(tokens), cfg.Context, cfg.Stride)
	if cfg.OnWindows != nil {
		cfg.OnWindows(len(windows))
	}
	sums := make([]float64, len(windows))
	err = inParallel(ctx, len(windows), cfg.Parallel, func(ctx context.Context, i int) error {
		w := windows[i]
		logprobs, err := cfg.Score(ctx, tokens[w.From:w.To])
		if err != nil {
			return fmt.Errorf("tokens %d to %d: %w", w.From, w.To-1, err)
		}
		for _, l := range logprobs[w.Score-w.From-1:] {
			sums[i] -= float64(l)
		}
		cfg.Done.Sequences.Add(1)
		cfg.Done.Tokens.Add(int64(w.To - w.From))
		return nil
	})
	if err != nil {
		return nil, err
	}
	p := &Perplexity{Tokens: len(tokens), Scored: len(tokens) - 1, Bytes: len(text), Words: len(strings.Fields(text)), Windows: len(windows)}
	for _, s := range sums {
		p.Nats += s
	}
	p.Perplexity = math.Exp(p.Nats / float64(p.Scored))
	p.PerWord = math.Exp(p.Nats / float64(max(p.Words, 1)))
	p.PerByte = math.Exp(p.Nats / float64(p.Bytes))
	p.BitsPerByte = p.Nats / float64(p.Bytes) / math.Ln2
	return p, nil
}
