package evaluate

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// ChoicesConfig is how questions are answered.
type ChoicesConfig struct {
	// Delimiter is between a prompt and a choice.
	Delimiter string
	// Context is the most tokens of a sequence; prompts that are too long lose their
	// beginning.
	Context  int
	Parallel int
	Tokenize Tokenizer
	Score    Scorer
	Done     *Done
}

// Answered is a question with what the model makes of it.
type Answered struct {
	Line    int       `json:"line"`
	Group   string    `json:"group,omitempty"`
	Answer  int       `json:"answer"`
	Logprob []float64 `json:"logprobs"` // of each choice, summed over its tokens
	Tokens  []int     `json:"tokens"`   // of each choice
	// The choice of the highest Logprob; of the highest per character; per byte.
	Picked     int  `json:"picked"`
	PickedNorm int  `json:"picked_norm"`
	PickedByte int  `json:"picked_bytes"`
	Truncated  bool `json:"truncated,omitempty"` // its prompt lost its beginning
}

// Accuracy sums answers up.
type Accuracy struct {
	Group     string `json:"group,omitempty"`
	Questions int    `json:"questions"`
	// Acc is the share of right answers by log-likelihood; Norm by log-likelihood per
	// character of the choice, Bytes per byte.
	Acc   float64 `json:"acc"`
	Norm  float64 `json:"acc_norm"`
	Bytes float64 `json:"acc_bytes"`
	// Standard errors of the mean: sqrt(p (1-p) / (n-1)).
	AccErr   float64 `json:"acc_stderr"`
	NormErr  float64 `json:"acc_norm_stderr"`
	BytesErr float64 `json:"acc_bytes_stderr"`
}

// AnswerQuestions scores every choice of every question.
func AnswerQuestions(ctx context.Context, cfg ChoicesConfig, questions []Question) ([]Answered, error) {
	type pair struct{ question, choice int }
	var pairs []pair
	out := make([]Answered, len(questions))
	for i, q := range questions {
		n := len(q.Choices)
		out[i] = Answered{Line: q.Line, Group: q.Group, Answer: q.Answer, Logprob: make([]float64, n), Tokens: make([]int, n)}
		for j := range q.Choices {
			pairs = append(pairs, pair{i, j})
		}
	}
	truncated := make([]bool, len(pairs))
	err := inParallel(ctx, len(pairs), cfg.Parallel, func(ctx context.Context, i int) error {
		p := pairs[i]
		q := questions[p.question]
		tokens, start, err := cfg.encode(ctx, q.Prompt, cfg.Delimiter+q.Choices[p.choice])
		if err != nil {
			return fmt.Errorf("line %d, choice %d: %w", q.Line, p.choice, err)
		}
		if cut := len(tokens) - cfg.Context; cut > 0 {
			if cut >= start {
				return fmt.Errorf("line %d, choice %d: its %d tokens leave no room for the prompt in a context of %d", q.Line, p.choice, len(tokens)-start, cfg.Context)
			}
			tokens, start, truncated[i] = tokens[cut:], start-cut, true
		}
		logprobs, err := cfg.Score(ctx, tokens)
		if err != nil {
			return fmt.Errorf("line %d, choice %d: %w", q.Line, p.choice, err)
		}
		a := &out[p.question]
		for _, l := range logprobs[start-1:] {
			a.Logprob[p.choice] += float64(l)
		}
		a.Tokens[p.choice] = len(tokens) - start
		cfg.Done.Sequences.Add(1)
		cfg.Done.Tokens.Add(int64(len(tokens)))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, t := range truncated {
		out[pairs[i].question].Truncated = out[pairs[i].question].Truncated || t
	}
	for i := range out {
		out[i].pick(questions[i].Choices)
	}
	return out, nil
}

// encode tokenizes a prompt with its continuation, which begins at start: where the
// tokens of the prompt alone end. White space at the prompt's end goes with the
// continuation, since tokens begin with it.
func (cfg *ChoicesConfig) encode(ctx context.Context, prompt, continuation string) (tokens []int32, start int, err error) {
	trimmed := strings.TrimRight(prompt, " \t\r\n\v\f")
	if trimmed != "" {
		continuation, prompt = prompt[len(trimmed):]+continuation, trimmed
	}
	if tokens, err = cfg.Tokenize(ctx, prompt+continuation); err != nil {
		return nil, 0, err
	}
	alone, err := cfg.Tokenize(ctx, prompt)
	if err != nil {
		return nil, 0, err
	}
	start = len(alone)
	if start < 1 || start >= len(tokens) {
		return nil, 0, fmt.Errorf("the prompt has %d tokens and %d with the choice: nothing can be scored", start, len(tokens))
	}
	return tokens, start, nil
}

func (a *Answered) pick(choices []string) {
	best := func(length func(string) int) int {
		at := 0
		score := math.Inf(-1)
		for i, l := range a.Logprob {
			if s := l / float64(length(choices[i])); s > score {
				at, score = i, s
			}
		}
		return at
	}
	a.Picked = best(func(string) int { return 1 })
	a.PickedNorm = best(utf8.RuneCountInString)
	a.PickedByte = best(func(s string) int { return len(s) })
}

// Summarize counts answers: over all, and over each group where there are several.
func Summarize(answers []Answered) (all Accuracy, groups []Accuracy) {
	byGroup := map[string][]Answered{}
	for _, a := range answers {
		byGroup[a.Group] = append(byGroup[a.Group], a)
	}
	if len(byGroup) > 1 {
		for name, of := range byGroup {
			g := accuracy(of)
			g.Group = name
			groups = append(groups, g)
		}
		slices.SortFunc(groups, func(a, b Accuracy) int { return strings.Compare(a.Group, b.Group) })
	}
	return accuracy(answers), groups
}

func accuracy(answers []Answered) Accuracy {
	share := func(picked func(Answered) int) (p, err float64) {
		right := 0
		for _, a := range answers {
			if picked(a) == a.Answer {
				right++
			}
		}
		n := float64(len(answers))
		p = float64(right) / n
		return p, math.Sqrt(p * (1 - p) / max(n-1, 1))
	}
	s := Accuracy{Questions: len(answers)}
	s.Acc, s.AccErr = share(func(a Answered) int { return a.Picked })
	s.Norm, s.NormErr = share(func(a Answered) int { return a.PickedNorm })
	s.Bytes, s.BytesErr = share(func(a Answered) int { return a.PickedByte })
	return s
}
