package gateway

import (
	"cmp"
	"slices"
)

// Bounds of what changes logits; OpenAI's where it has them.
const (
	maxPenalty    = 2
	maxRepetition = 100
	maxBias       = 100
	maxBiases     = 1024
	maxBadWords   = 256
)

// resolvePenalties checks what changes logits before a token is chosen.
func (s *Service) resolvePenalties(p *plan, r SamplingParams) error {
	for _, f := range []struct {
		field string
		value *float32
		to    *float32
	}{
		{"presence_penalty", r.PresencePenalty, &p.sampling.PresencePenalty},
		{"frequency_penalty", r.FrequencyPenalty, &p.sampling.FrequencyPenalty},
	} {
		if f.value == nil {
			continue
		}
		if !(*f.value >= -maxPenalty && *f.value <= maxPenalty) {
			return fieldErr(f.field, "must be between %d and %d, got %g", -maxPenalty, maxPenalty, *f.value)
		}
		*f.to = *f.value
	}
	if v := r.RepetitionPenalty; v != nil {
		if !(*v > 0 && *v <= maxRepetition) {
			return fieldErr("repetition_penalty", "must be above 0 and at most %d, got %g", maxRepetition, *v)
		}
		p.sampling.RepetitionPenalty = *v
	}
	if len(r.LogitBias) > maxBiases {
		return fieldErr("logit_bias", "has %d tokens; at most %d are allowed", len(r.LogitBias), maxBiases)
	}
	for id, add := range r.LogitBias {
		if id < 0 || int(id) >= s.model.Vocab {
			return fieldErr("logit_bias", "token id %d is outside the vocabulary (0 to %d)", id, s.model.Vocab-1)
		}
		if !(add >= -maxBias && add <= maxBias) {
			return fieldErr("logit_bias", "of token %d must be between %d and %d, got %g", id, -maxBias, maxBias, add)
		}
		p.sampling.Bias = append(p.sampling.Bias, TokenBias{id, add})
	}
	slices.SortFunc(p.sampling.Bias, func(a, b TokenBias) int { return cmp.Compare(a.ID, b.ID) })
	return s.resolveBadWords(p, r.BadWords)
}

// resolveBadWords tokenizes each word as it stands within a text and, where that
// differs, after a space.
func (s *Service) resolveBadWords(p *plan, words []string) error {
	if len(words) > maxBadWords {
		return fieldErr("bad_words", "has %d words; at most %d are allowed", len(words), maxBadWords)
	}
	for i, w := range words {
		if w == "" {
			return fieldErr("bad_words", "word %d is empty", i)
		}
		if s.model.Tokenizer == nil {
			return s.noTokenizer()
		}
		for _, form := range []string{w, " " + w} {
			ids, err := s.model.Tokenizer.Encode(form, false)
			if err != nil {
				return fieldErr("bad_words", "word %d: %v", i, err)
			}
			if len(ids) > 0 && !slices.ContainsFunc(p.sampling.BadWords, func(have []int32) bool { return slices.Equal(have, ids) }) {
				p.sampling.BadWords = append(p.sampling.BadWords, ids)
			}
		}
	}
	return nil
}
