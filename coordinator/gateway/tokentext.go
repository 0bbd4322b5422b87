package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// TokenText is how a single token is written in log-probabilities: its text; or
// "bytes:\xec\x9d" for one that is only part of a character, so that different
// tokens have different names; or "token_id:5" where there is no text at all
// (no tokenizer, or an id without a token).
func (s *Service) TokenText(id int32) string {
	b := s.TokenBytes(id)
	switch {
	case b == nil:
		return "token_id:" + strconv.Itoa(int(id))
	case utf8.Valid(b):
		return string(b)
	}
	var w strings.Builder
	w.WriteString("bytes:")
	for _, c := range b {
		fmt.Fprintf(&w, `\x%02x`, c)
	}
	return w.String()
}

// TokenBytes are the bytes that a token stands for; nil where there is none.
func (s *Service) TokenBytes(id int32) []byte {
	if s.model.Tokenizer == nil {
		return nil
	}
	return s.model.Tokenizer.TokenBytes(id)
}

func (s *Service) tokenLogprob(id int32, sc *Scores, offset int) (TokenLogprob, error) {
	t := TokenLogprob{Alternative: Alternative{ID: id, Token: s.TokenText(id), Logprob: sc.Logprob}, Offset: offset}
	if len(sc.TopIDs) != len(sc.TopLogprobs) {
		return t, fmt.Errorf("the engine sent %d alternatives with %d log-probabilities", len(sc.TopIDs), len(sc.TopLogprobs))
	}
	bad := sc.Logprob != sc.Logprob
	for i, alt := range sc.TopIDs {
		t.Top = append(t.Top, Alternative{ID: alt, Token: s.TokenText(alt), Logprob: sc.TopLogprobs[i]})
		bad = bad || sc.TopLogprobs[i] != sc.TopLogprobs[i]
	}
	if bad {
		return t, fmt.Errorf("the engine scored token %d as NaN", id)
	}
	return t, nil
}
