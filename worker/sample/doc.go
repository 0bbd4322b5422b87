// Package sample chooses tokens from logits that are spread over ranks. It is
// pure. Each rank summarises its vocabulary range (Local), the summaries are
// gathered, and every rank merges them by the same rule (Merge), so that all
// know the token without asking anyone.
//
// Randomness is counter-based: the noise of a token is a function of (seed,
// position, token id) alone, and sampling is Gumbel-max: the kept token with the
// largest logit/temperature + noise. So the choice is exact, and independent of
// the batch and of how the vocabulary is spread. Ties go to the lower id.
package sample

// Params choose a token. Temperature 0 is greedy.
type Params struct {
	Temperature float32
	TopP        float32 // 1: off
	TopK        int     // 0: off
	Seed        uint64
}

// Want is what one row of logits is to yield.
type Want struct {
	Sample   bool // choose a token
	Params   Params
	Position int   // of the token to be chosen, in its sequence
	Scores   int   // likeliest tokens wanted; -1: no scores at all
	Target   int32 // score this token; -1: the chosen one
}

// Scores are natural log-probabilities under the full softmax at temperature 1.
type Scores struct {
	Logprob     float32
	TopIDs      []int32 // likeliest first, ties by lower id
	TopLogprobs []float32
}

// topPCandidates is how many of its likeliest tokens a rank sends for a row
// with top-p. Where they don't hold enough probability, the whole row follows.
const topPCandidates = 256

func (w Want) random() bool { return w.Sample && w.Params.Temperature > 0 }
func (w Want) topP() bool   { return w.random() && w.Params.TopP < 1 }

// gumbelOnly: nothing is cut, so each rank can name its own winner.
func (w Want) gumbelOnly() bool { return w.random() && !w.topP() && w.Params.TopK == 0 }

// candidates is how many of the likeliest tokens of each rank the merge needs.
func (w Want) candidates() int {
	k := max(w.Scores, 0)
	if w.Sample && !w.random() {
		k = max(k, 1)
	}
	if w.random() && w.Params.TopK > 0 {
		k = max(k, w.Params.TopK)
	} else if w.topP() {
		k = max(k, topPCandidates)
	}
	return k
}

// NeedsSums reports whether the row's block sums at temperature 1 are wanted.
func (w Want) NeedsSums() bool { return w.Scores >= 0 }

// NeedsScaledSums reports whether the row's block sums at its own temperature
// are wanted: top-p's probabilities, when top-k does not bound the set.
func (w Want) NeedsScaledSums() bool { return w.topP() && w.Params.TopK == 0 }
