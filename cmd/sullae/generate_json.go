package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/sullae/sullae/proto/client"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// jsonOutput collects an answer into one JSON object.
type jsonOutput struct {
	to      io.Writer
	choices []jsonChoice
	tokens  int // generated, of all choices
}

// jsonChoice is one continuation.
type jsonChoice struct {
	Text         string        `json:"text"`
	TokenIDs     []int32       `json:"token_ids"`
	Logprobs     []jsonLogprob `json:"logprobs,omitempty"`
	FinishReason string        `json:"finish_reason"`  // "stop" or "length"
	Stop         any           `json:"stop,omitempty"` // the string or token id that was met
}

// jsonLogprob is a token with its natural log-probability; null stands for minus
// infinity, which JSON lacks.
type jsonLogprob struct {
	TokenID int32         `json:"token_id"`
	Token   string        `json:"token"`
	Logprob *float32      `json:"logprob"`
	Top     []jsonLogprob `json:"top,omitempty"`
}

// jsonAnswer is the whole object. One choice stands in it itself, several in a
// list.
type jsonAnswer struct {
	RequestID string `json:"request_id"`
	Model     string `json:"model"`
	Seed      uint64 `json:"seed"`
	*jsonChoice
	Choices []jsonChoice `json:"choices,omitempty"`
	Usage   struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
		TotalTokens      int `json:"total_tokens"`
	} `json:"usage"`
}

// add takes in a delta.
func (o *jsonOutput) add(d *sullaev1.Delta) error {
	c := &o.choices[d.GetIndex()]
	c.Text += d.GetText()
	c.TokenIDs = append(c.TokenIDs, d.GetTokenIds()...)
	for _, l := range d.GetLogprobs() {
		j := jsonLogprob{TokenID: l.GetTokenId(), Token: l.GetToken(), Logprob: finite(l.GetLogprob())}
		for _, a := range l.GetTop() {
			j.Top = append(j.Top, jsonLogprob{TokenID: a.GetTokenId(), Token: a.GetToken(), Logprob: finite(a.GetLogprob())})
		}
		c.Logprobs = append(c.Logprobs, j)
	}
	f := d.GetFinish()
	if f == nil {
		return nil
	}
	o.tokens += int(f.GetCompletionTokens())
	switch f.GetReason() {
	case sullaev1.FinishReason_FINISH_REASON_STOP:
		c.FinishReason = "stop"
	case sullaev1.FinishReason_FINISH_REASON_LENGTH:
		c.FinishReason = "length"
	default:
		return fmt.Errorf("the server sent the unknown finish reason %v", f.GetReason())
	}
	switch m := f.GetMatched().(type) {
	case *sullaev1.Finish_Stop:
		c.Stop = m.Stop
	case *sullaev1.Finish_TokenId:
		c.Stop = m.TokenId
	}
	return nil
}

// print writes the object, after the stream's end.
func (o *jsonOutput) print(model string, s *client.Stream) error {
	a := jsonAnswer{RequestID: s.RequestID(), Model: model, Seed: s.Prompt().GetSeed()}
	for i := range o.choices {
		if o.choices[i].FinishReason == "" {
			return errors.New("the server ended its answer before every choice was finished")
		}
		if o.choices[i].TokenIDs == nil {
			o.choices[i].TokenIDs = []int32{} // a list, not null
		}
	}
	if len(o.choices) == 1 {
		a.jsonChoice = &o.choices[0]
	} else {
		a.Choices = o.choices
	}
	a.Usage.PromptTokens = int(s.Prompt().GetPromptTokens())
	a.Usage.CompletionTokens = o.tokens
	a.Usage.TotalTokens = a.Usage.PromptTokens + o.tokens
	enc := json.NewEncoder(o.to)
	enc.SetEscapeHTML(false)
	return enc.Encode(a)
}

func finite(v float32) *float32 {
	if math.IsInf(float64(v), 0) || math.IsNaN(float64(v)) {
		return nil
	}
	return &v
}
