package gateway

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/sullae/sullae/coordinator/grammar"
)

// greedyBelow is the temperature under which sampling is greedy: dividing by
// less would only overflow.
const greedyBelow = 1e-5

// plan is a Request with nothing left to default.
type plan struct {
	id             string
	prompts        []promptPlan
	n              int
	sampling       Sampling // with the request's seed
	stops          []string
	stopTokens     []int32
	logprobs       int
	promptLogprobs int
	promptText     bool
	keepSpecial    bool
	resume         []Resumed // nil: the request starts
	priority       int
	tenant         string
	maxDrafts      int
	grammar        *grammar.Grammar // nil: free text
	tools          *toolPlan        // nil: there are none to call
}

type promptPlan struct {
	ids       []int32
	prompt    Prompt
	maxTokens int
}

// resolve validates a request and fills in defaults. Its errors are
// *FieldError, *ModelNotFoundError, ErrNoTokenizer, ErrNoTemplate.
func (s *Service) resolve(r Request) (*plan, error) {
	if _, err := s.Model(r.Model); err != nil {
		return nil, err
	}
	p := &plan{id: r.ID, n: 1, promptText: r.Output.PromptText, keepSpecial: r.Output.KeepSpecialTokens, priority: r.Priority, tenant: r.Tenant}
	if p.id == "" {
		p.id = NewRequestID()
	} else if !ValidRequestID(p.id) {
		return nil, fieldErr("request_id", "must be 1 to %d printable ASCII characters without blanks", maxRequestID)
	}
	if r.N != nil {
		p.n = *r.N
		if p.n < 1 || p.n > s.limits.MaxN {
			return nil, fieldErr("n", "must be between 1 and %d, got %d", s.limits.MaxN, p.n)
		}
	}
	if len(r.Prompts) == 0 {
		return nil, fieldErr("prompt", "is missing or empty")
	}
	if total := len(r.Prompts) * p.n; total > s.limits.MaxSequences {
		return nil, fieldErr("prompt", "%d prompts times n = %d make %d choices; at most %d are allowed in one request",
			len(r.Prompts), p.n, total, s.limits.MaxSequences)
	}
	if err := s.resolveSampling(p, r.Sampling); err != nil {
		return nil, err
	}
	if err := s.resolvePenalties(p, r.Sampling); err != nil {
		return nil, err
	}
	if err := s.resolveStopping(p, r.Stopping); err != nil {
		return nil, err
	}
	var err error
	if p.logprobs, err = s.resolveLogprobs("logprobs", r.Output.Logprobs); err != nil {
		return nil, err
	}
	if p.promptLogprobs, err = s.resolveLogprobs("prompt_logprobs", r.Output.PromptLogprobs); err != nil {
		return nil, err
	}
	if r.Prompts, err = s.resolveTools(p, r); err != nil {
		return nil, err
	}
	for i, prompt := range r.Prompts {
		pp, err := s.resolvePrompt(prompt, r)
		if fe, ok := err.(*FieldError); ok && len(r.Prompts) > 1 {
			fe.Problem = fmt.Sprintf("prompt %d of %d: %s", i, len(r.Prompts), fe.Problem)
		}
		if err != nil {
			return nil, err
		}
		p.prompts = append(p.prompts, pp)
	}
	if err := s.resolveStructure(p, r); err != nil {
		return nil, err
	}
	p.maxDrafts = s.promptLookup
	if r.PromptLookup != nil {
		p.maxDrafts = *r.PromptLookup
		if p.maxDrafts < 0 || p.maxDrafts > MaxPromptLookup {
			return nil, fieldErr("prompt_lookup_num_tokens", "must be between 0 (off) and %d, got %d", MaxPromptLookup, p.maxDrafts)
		}
	}
	return p, s.checkResume(p, r)
}

func (s *Service) resolveSampling(p *plan, r SamplingParams) error {
	p.sampling = Sampling{Temperature: 1, TopP: 1, RepetitionPenalty: 1}
	if r.Temperature != nil {
		t := *r.Temperature
		if !(t >= 0 && t <= s.limits.MaxTemperature) {
			return fieldErr("temperature", "must be between 0 and %g, got %g", s.limits.MaxTemperature, t)
		}
		if t < greedyBelow {
			t = 0
		}
		p.sampling.Temperature = t
	}
	if r.TopP != nil {
		if !(*r.TopP > 0 && *r.TopP <= 1) {
			return fieldErr("top_p", "must be above 0 and at most 1, got %g", *r.TopP)
		}
		p.sampling.TopP = *r.TopP
	}
	if r.TopK != nil {
		if *r.TopK < 0 || *r.TopK > math.MaxInt32 {
			return fieldErr("top_k", "must be 0 (all) or more, got %d", *r.TopK)
		}
		p.sampling.TopK = *r.TopK
	}
	if r.MinP != nil {
		if !(*r.MinP >= 0 && *r.MinP <= 1) {
			return fieldErr("min_p", "must be between 0 and 1, got %g", *r.MinP)
		}
		p.sampling.MinP = *r.MinP
	}
	if r.Seed != nil {
		p.sampling.Seed = *r.Seed
	} else {
		p.sampling.Seed = s.newSeed()
	}
	return nil
}

func (s *Service) resolveStopping(p *plan, r Stopping) error {
	if len(r.Stop) > 0 && s.model.Tokenizer == nil {
		return s.noTokenizer()
	}
	if len(r.Stop) > s.limits.MaxStops {
		return fieldErr("stop", "has %d strings; at most %d are allowed", len(r.Stop), s.limits.MaxStops)
	}
	for i, stop := range r.Stop {
		switch {
		case stop == "":
			return fieldErr("stop", "string %d is empty", i)
		case len(stop) > s.limits.MaxStopBytes:
			return fieldErr("stop", "string %d has %d bytes; at most %d are allowed", i, len(stop), s.limits.MaxStopBytes)
		}
		if err := validUTF8("stop", stop); err != nil {
			return err
		}
	}
	p.stops = r.Stop
	if r.MinTokens != nil {
		if *r.MinTokens < 0 || r.MaxTokens != nil && *r.MinTokens > *r.MaxTokens {
			return fieldErr("min_tokens", "must be 0 or more and at most max_tokens, got %d", *r.MinTokens)
		}
		p.sampling.MinTokens = *r.MinTokens
	}
	if len(r.StopTokenIDs) > s.limits.MaxStopTokens {
		return fieldErr("stop_token_ids", "has %d ids; at most %d are allowed", len(r.StopTokenIDs), s.limits.MaxStopTokens)
	}
	if err := s.validIDs("stop_token_ids", r.StopTokenIDs); err != nil {
		return err
	}
	if !r.IgnoreEOS {
		p.stopTokens = append(p.stopTokens, s.model.EOS...)
	}
	for _, id := range r.StopTokenIDs {
		if !slices.Contains(p.stopTokens, id) {
			p.stopTokens = append(p.stopTokens, id)
		}
	}
	return nil
}

func (s *Service) resolveLogprobs(field string, n *int) (int, error) {
	if n == nil {
		return -1, nil
	}
	if *n < 0 || *n > s.limits.MaxLogprobs {
		return 0, fieldErr(field, "must be between 0 and %d, got %d", s.limits.MaxLogprobs, *n)
	}
	return min(*n, s.model.Vocab), nil
}

func (s *Service) resolvePrompt(prompt Prompt, r Request) (promptPlan, error) {
	pp := promptPlan{prompt: prompt}
	var err error
	switch t := prompt.(type) {
	case TokenIDs:
		pp.ids = t
		err = s.validIDs("prompt", t)
	case Text:
		pp.ids, err = s.encode(string(t), !r.NoSpecialTokens)
	case Chat:
		pp.ids, err = s.encodeChat(t, true, false)
	}
	if err != nil {
		return pp, err
	}
	field, length := prompt.field(), len(pp.ids)
	if length == 0 {
		return pp, fieldErr(field, "is empty")
	}
	if most := s.limits.MaxPromptTokens; most > 0 && length > most {
		return pp, fieldErr(field, "has %d tokens; at most %d are allowed here", length, most)
	}
	room := s.model.MaxLen - length
	if room < 0 {
		e := fieldErr(field, "has %d tokens, but the context of the model %q is %d tokens long: shorten it",
			length, s.model.Name, s.model.MaxLen)
		e.Err = ErrContextLength
		return pp, e
	}
	switch want := r.Stopping.MaxTokens; {
	case want == nil && room == 0:
		e := fieldErr(field, "has %d tokens and fills the context of the model %q (%d tokens): nothing can be generated after it",
			length, s.model.Name, s.model.MaxLen)
		e.Err = ErrContextLength
		return pp, e
	case want == nil:
		pp.maxTokens = room
		if d := r.Stopping.DefaultMaxTokens; d > 0 {
			pp.maxTokens = min(d, room)
		}
	case *want < 0:
		return pp, fieldErr("max_tokens", "must be 0 or more, got %d", *want)
	case *want > room:
		e := fieldErr("max_tokens", "%d is too large: the context of the model %q is %d tokens long and the prompt has %d, which leaves %d",
			*want, s.model.Name, s.model.MaxLen, length, room)
		e.Err = ErrContextLength
		return pp, e
	default:
		pp.maxTokens = *want
	}
	if most := s.limits.MaxOutputTokens; most > 0 && pp.maxTokens > most {
		if r.Stopping.MaxTokens != nil {
			return pp, fieldErr("max_tokens", "is %d; at most %d are allowed here", pp.maxTokens, most)
		}
		pp.maxTokens = most
	}
	return pp, nil
}

func (s *Service) validIDs(field string, ids []int32) error {
	for i, id := range ids {
		if id < 0 || int(id) >= s.model.Vocab {
			return fieldErr(field, "token id %d at position %d is outside the vocabulary (0 to %d)", id, i, s.model.Vocab-1)
		}
	}
	return nil
}

func validUTF8(field, text string) error {
	for at, r := range text {
		if r != utf8.RuneError {
			continue
		}
		// U+FFFD may be meant: it is three valid bytes then.
		if _, n := utf8.DecodeRuneInString(text[at:]); n == 1 {
			return fieldErr(field, "is not UTF-8: broken at byte %d", at)
		}
	}
	return nil
}
