package openai

import (
	"encoding/json"
	"testing"

	"github.com/sullae/sullae/coordinator/gateway"
)

// TestPromptScores: the actual token comes first, the first one is null.
func TestPromptScores(t *testing.T) {
	a := func(id int32, token string, lp float32) gateway.Alternative {
		return gateway.Alternative{ID: id, Token: token, Logprob: lp}
	}
	got, err := json.Marshal(promptScores(&gateway.PromptInfo{Logprobs: []gateway.TokenLogprob{
		{Alternative: a(1, "x", 0)},
		{Alternative: a(9, "y", -3), Top: []gateway.Alternative{a(2, "a", -0.5), a(3, "b", -1)}},
		{Alternative: a(3, "b", -1), Top: []gateway.Alternative{a(2, "a", -0.5), a(3, "b", -1)}},
	}}))
	const want = `[null,{"9":{"logprob":-3,"rank":null,"decoded_token":"y"},"2":{"logprob":-0.5,"rank":1,"decoded_token":"a"},"3":{"logprob":-1,"rank":2,"decoded_token":"b"}},` +
		`{"3":{"logprob":-1,"rank":2,"decoded_token":"b"},"2":{"logprob":-0.5,"rank":1,"decoded_token":"a"}}]`
	if err != nil || string(got) != want {
		t.Errorf("%s %v", got, err)
	}
}
