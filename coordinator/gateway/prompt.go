package gateway

import (
	"fmt"
	"unicode/utf8"
)

// promptState is one prompt of a Stream.
type promptState struct {
	svc  *Service
	info *PromptInfo

	// These belong to the goroutine of the prompt's first choice, the one that
	// is scored.
	decoder StreamDecoder // for the tokens' offsets
	offset  int

	// These belong to the Stream's lock.
	ready bool     // info is complete
	sent  bool     // info is in the queue
	held  []*Delta // deltas that came before info was complete
}

func newPromptState(s *Service, p *plan, i int) *promptState {
	pp := p.prompts[i]
	ps := &promptState{svc: s, info: &PromptInfo{Index: i, TokenIDs: pp.ids, Seed: p.sampling.Seed}}
	tok := s.model.Tokenizer
	if p.promptText && tok != nil {
		if text, ok := pp.prompt.(Text); ok {
			ps.info.Text = string(text)
		} else {
			ps.info.Text = tok.Decode(pp.ids, false)
		}
	}
	if p.promptLogprobs >= 0 {
		if tok != nil {
			ps.decoder = tok.NewStreamDecoder(false)
		}
		id := pp.ids[0]
		ps.info.Logprobs = append(make([]TokenLogprob, 0, len(pp.ids)),
			TokenLogprob{Alternative: Alternative{ID: id, Token: s.TokenText(id)}})
		ps.advance(id)
	}
	ps.ready = p.promptLogprobs < 0 || len(pp.ids) == 1
	return ps
}

// addScores takes the scores of the prompt's tokens from position first on.
func (ps *promptState) addScores(first int, scores []Scores) error {
	info := ps.info
	if first == 0 && len(scores) > 0 {
		// Position 0 has no score; an engine may send an empty one.
		first, scores = 1, scores[1:]
	}
	if len(scores) == 0 {
		return nil
	}
	if first != len(info.Logprobs) || first+len(scores) > len(info.TokenIDs) {
		return fmt.Errorf("the engine scored the prompt's positions %d to %d, where %d of %d were expected next",
			first, first+len(scores)-1, len(info.Logprobs), len(info.TokenIDs))
	}
	for i := range scores {
		id := info.TokenIDs[first+i]
		t, err := ps.svc.tokenLogprob(id, &scores[i], ps.offset)
		if err != nil {
			return err
		}
		info.Logprobs = append(info.Logprobs, t)
		ps.advance(id)
	}
	return nil
}

func (ps *promptState) advance(id int32) {
	if ps.decoder != nil {
		ps.offset += utf8.RuneCountInString(ps.decoder.Push(id))
	}
}

// scored reports whether all the scores that were asked for are there.
func (ps *promptState) scored() bool {
	return ps.info.Logprobs == nil || len(ps.info.Logprobs) == len(ps.info.TokenIDs)
}
