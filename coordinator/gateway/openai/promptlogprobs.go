package openai

import (
	"bytes"
	"strconv"

	"github.com/sullae/sullae/coordinator/gateway"
)

// scores are the log-probabilities at a position of the prompt as vLLM's
// prompt_logprobs has them: an object from token id to score, the actual token first,
// then the likeliest; null for the prompt's first.
type scores []score

type score struct {
	id      int32
	Logprob float32 `json:"logprob"`
	// Rank is the token's place by likelihood, from 1 on; null for an actual token
	// that is not among the likeliest.
	Rank  *int   `json:"rank"`
	Token string `json:"decoded_token"`
}

// MarshalJSON keeps the order.
func (s scores) MarshalJSON() ([]byte, error) {
	if s == nil {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	for i, x := range s {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(strconv.Quote(strconv.Itoa(int(x.id))))
		b.WriteByte(':')
		body, err := marshal(x)
		if err != nil {
			return nil, err
		}
		b.Write(body)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func promptScores(info *gateway.PromptInfo) []scores {
	list := make([]scores, len(info.Logprobs))
	for i, t := range info.Logprobs {
		if i == 0 {
			continue
		}
		actual := score{id: t.ID, Logprob: wireLogprob(t.Logprob), Token: t.Token}
		others := make(scores, 0, len(t.Top)+1)
		for j, a := range t.Top {
			rank := j + 1
			if a.ID == t.ID {
				actual.Rank = &rank
				continue
			}
			others = append(others, score{a.ID, wireLogprob(a.Logprob), &rank, a.Token})
		}
		list[i] = append(scores{actual}, others...)
	}
	return list
}
