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
	MinP        float32 // 0: off; least probability relative to the likeliest token's
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

// openCandidates is how many of its likeliest tokens a rank sends for a row
// whose set of tokens is bounded by probability (top-p, min-p) and not by number.
// Where they don't settle the set, the whole row follows.
const openCandidates = 256

func (w Want) random() bool { return w.Sample && w.Params.Temperature > 0 }
func (w Want) topP() bool   { return w.random() && w.Params.TopP < 1 }
func (w Want) minP() bool   { return w.random() && w.Params.MinP > 0 }

// gumbelOnly: nothing is cut, so each rank can name its own winner.
func (w Want) gumbelOnly() bool {
	return w.random() && !w.topP() && !w.minP() && w.Params.TopK == 0
}

// candidates is how many of each rank's likeliest tokens the choice needs.
func (w Want) candidates() int {
	switch {
	case !w.Sample || w.gumbelOnly():
		return 0
	case !w.random():
		return 1
	case w.Params.TopK > 0:
		return w.Params.TopK
	}
	return openCandidates
}

// NeedsSums reports whether the row's block sums at temperature 1 are wanted.
func (w Want) NeedsSums() bool { return w.Scores >= 0 }

// NeedsScaledSums reports whether the block sums of the processed row at its own
// temperature are wanted: top-p's probabilities, when nothing else bounds the set.
func (w Want) NeedsScaledSums() bool { return w.topP() && !w.minP() && w.Params.TopK == 0 }
