package gateway

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Auditor is told of requests for tokens. It must not block for long, and is
// called by many goroutines.
type Auditor interface{ Record(Audit) }

// Audit is one request, as its record has it.
type Audit struct {
	Time      time.Time `json:"time"` // of its arrival
	RequestID string    `json:"request_id"`
	Caller    string    `json:"caller,omitempty"` // API key's name
	Via       string    `json:"via,omitempty"`
	Remote    string    `json:"remote,omitempty"`
	Kind      string    `json:"kind"` // "completion", "chat"
	Model     string    `json:"model"`

	Prompts          int `json:"prompts"`
	Choices          int `json:"choices"`
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`

	// Outcome is "ok", "refused" (nothing was computed), "cancelled", "deadline" or
	// "error"; Reason the finish reasons, or the error.
	Outcome string  `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
	Seconds float64 `json:"seconds"`

	// Where content is kept: the prompts, and each choice's text.
	Input  []string `json:"input,omitempty"`
	Output []string `json:"output,omitempty"`
}

// content is what a request says, where the audit keeps it; nil: it doesn't.
type content struct {
	input  []string
	output []strings.Builder
}

func (st *Stream) keepContent(r Request) {
	if st.svc.auditor != nil && st.svc.content {
		st.content = &content{input: inputOf(r.Prompts), output: make([]strings.Builder, st.left)}
	}
}

// add is called with the stream's lock held.
func (c *content) add(d *Delta) {
	if c != nil {
		c.output[d.Index].WriteString(d.Text)
	}
}

// inputOf is the prompts as text; token ids are left out.
func inputOf(prompts []Prompt) []string {
	out := make([]string, len(prompts))
	for i, p := range prompts {
		out[i] = inputText(p)
	}
	return out
}

func inputText(p Prompt) (text string) {
	switch p := p.(type) {
	case Text:
		return string(p)
	case Chat:
		for _, m := range p.Messages {
			text += m.Role + ": " + m.Content + "\n"
		}
	}
	return text
}

func kindOf(prompts []Prompt) string {
	if len(prompts) > 0 {
		if _, ok := prompts[0].(Chat); ok {
			return "chat"
		}
	}
	return "completion"
}

// auditRefusal records a request that was not begun.
func (s *Service) auditRefusal(st *Stream, r Request, err error) {
	if s.auditor == nil {
		return
	}
	a := st.audit()
	a.Kind, a.Prompts, a.Outcome, a.Reason = kindOf(r.Prompts), len(r.Prompts), "refused", err.Error()
	if a.RequestID == "" {
		a.RequestID = r.ID
	}
	if s.content {
		a.Input = inputOf(r.Prompts)
	}
	s.auditor.Record(a)
}

// auditEnd records a request that has ended.
func (s *Service) auditEnd(st *Stream, prompt, completion int, err error) {
	if s.auditor == nil {
		return
	}
	a := st.audit()
	a.PromptTokens, a.CompletionTokens = prompt, completion
	a.Outcome, a.Reason = "ok", strings.Join(st.reasons, ",")
	if err == nil && st.left > 0 {
		err = errClosed // its reader has gone
	}
	if err != nil {
		a.Reason = err.Error()
		switch {
		case errors.Is(err, ErrPolicy):
			a.Outcome = "refused"
		case errors.Is(err, context.DeadlineExceeded):
			a.Outcome = "deadline"
		case errors.Is(err, context.Canceled), errors.Is(err, errClosed):
			a.Outcome = "cancelled"
		default:
			a.Outcome = "error"
		}
	}
	if c := st.content; c != nil {
		a.Input = c.input
		for i := range c.output {
			a.Output = append(a.Output, c.output[i].String())
		}
	}
	s.auditor.Record(a)
}

func (st *Stream) audit() Audit {
	a := Audit{Time: st.start, Caller: st.caller.Name, Via: st.caller.Via, Remote: st.caller.Remote,
		Model: st.svc.model.Name, Seconds: st.svc.now().Sub(st.start).Seconds()}
	if p := st.plan; p != nil {
		a.RequestID, a.Prompts, a.Choices = p.id, len(p.prompts), len(p.prompts)*p.n
		for _, pp := range p.prompts {
			a.Kind = kindOf([]Prompt{pp.prompt})
			a.PromptTokens += len(pp.ids)
		}
	}
	return a
}
