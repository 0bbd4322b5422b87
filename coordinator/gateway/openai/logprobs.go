package openai

import (
	"bytes"

	"github.com/sullae/sullae/coordinator/gateway"
)

// logprobs is the completions' shape: parallel lists. Its numbers are float32,
// which the JSON package writes in the shortest form that reads back to the same
// float32.
type logprobs struct {
	Tokens        []string   `json:"tokens"`
	TokenLogprobs []*float32 `json:"token_logprobs"` // null for a prompt's first
	TopLogprobs   []topMap   `json:"top_logprobs"`
	TextOffset    []int      `json:"text_offset"`
}

// topMap is an object from token to log-probability, likeliest first. It always
// has the actual token: evaluations compare its value with the greatest.
type topMap []gateway.Alternative

// MarshalJSON writes null where there is no map. Of tokens that are written
// alike, only the likeliest stays: readers of JSON would keep the last.
func (m topMap) MarshalJSON() ([]byte, error) {
	if m == nil {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	b.WriteByte('{')
	seen := make(map[string]bool, len(m))
	for _, a := range m {
		if seen[a.Token] {
			continue
		}
		if len(seen) > 0 {
			b.WriteByte(',')
		}
		seen[a.Token] = true
		key, err := marshal(a.Token)
		if err != nil {
			return nil, err
		}
		value, err := marshal(wireLogprob(a.Logprob))
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// add appends a token, whose offset counts from base.
func (l *logprobs) add(t gateway.TokenLogprob, base int) {
	l.Tokens = append(l.Tokens, t.Token)
	l.TextOffset = append(l.TextOffset, base+t.Offset)
	lp := wireLogprob(t.Logprob)
	l.TokenLogprobs = append(l.TokenLogprobs, &lp)
	top := make(topMap, 0, len(t.Top)+1)
	actual := false
	for _, a := range t.Top {
		top = append(top, a)
		actual = actual || a.ID == t.ID
	}
	if !actual {
		// Less likely than all of Top, so the order holds.
		top = append(top, t.Alternative)
	}
	l.TopLogprobs = append(l.TopLogprobs, top)
}

// addPrompt appends all of a prompt's tokens; the first one's values are null.
func (l *logprobs) addPrompt(info *gateway.PromptInfo) {
	for i, t := range info.Logprobs {
		l.add(t, 0)
		if i == 0 {
			l.TokenLogprobs[0], l.TopLogprobs[0] = nil, nil
		}
	}
}

// chatLogprobs is chat's shape.
type chatLogprobs struct {
	Content []chatLogprob `json:"content"`
	Refusal any           `json:"refusal"` // always null
}

type chatLogprob struct {
	chatAlternative
	TopLogprobs []chatAlternative `json:"top_logprobs"`
}

type chatAlternative struct {
	Token   string  `json:"token"`
	Logprob float32 `json:"logprob"`
	// Bytes are the token's own; null where there is no text.
	Bytes []int `json:"bytes"`
}

func (h *handler) chatLogprobs(tokens []gateway.TokenLogprob) *chatLogprobs {
	l := &chatLogprobs{Content: make([]chatLogprob, len(tokens))}
	one := func(a gateway.Alternative) chatAlternative {
		c := chatAlternative{Token: a.Token, Logprob: wireLogprob(a.Logprob)}
		if b := h.svc.TokenBytes(a.ID); b != nil {
			c.Bytes = make([]int, len(b))
			for i, v := range b {
				c.Bytes[i] = int(v)
			}
		}
		return c
	}
	for i, t := range tokens {
		l.Content[i] = chatLogprob{chatAlternative: one(t.Alternative), TopLogprobs: make([]chatAlternative, len(t.Top))}
		for j, a := range t.Top {
			l.Content[i].TopLogprobs[j] = one(a)
		}
	}
	return l
}
