package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrPolicy marks PolicyErrors.
var ErrPolicy = errors.New("refused by the policy here")

// PolicyError is a request that the operator's policy refuses.
type PolicyError struct{ Reason string } // for the client; may be empty

func (e *PolicyError) Error() string {
	if e.Reason == "" {
		return ErrPolicy.Error()
	}
	return ErrPolicy.Error() + ": " + e.Reason
}

// Unwrap is ErrPolicy.
func (e *PolicyError) Unwrap() error { return ErrPolicy }

// Policy may allow, refuse or redact what goes in and what comes out. Its errors
// end the request; they wrap ErrUnavailable where it does not answer.
type Policy interface {
	// CheckInput returns the prompts to use: those given, or redacted ones of the
	// same number. A refusal is a *PolicyError.
	CheckInput(ctx context.Context, subject PolicySubject, prompts []Prompt) ([]Prompt, error)
	// CheckOutput decides about text that the client has not been given yet.
	CheckOutput(ctx context.Context, subject PolicySubject, window PolicyWindow) (PolicyVerdict, error)
}

// PolicySubject says whose request it is.
type PolicySubject struct{ RequestID, Caller, Model string }

// PolicyWindow is a piece of a choice's text.
type PolicyWindow struct {
	Index    int
	Released string // the end of what the client has
	Held     string
	Final    bool // nothing follows
}

// PolicyVerdict is about a window. The zero value lets it go.
type PolicyVerdict struct {
	Refuse, Redact bool
	Replacement    string // of a redacted window
	// Keep is how many characters at the window's end to hold back longer.
	Keep int
}

// PolicyConfig is how output is held back to be checked.
type PolicyConfig struct {
	// Window is how many characters are held back at most, Hold how long.
	Window int
	Hold   time.Duration
}

// contextChars is how much of what was released a policy sees again.
const contextChars = 1000

// checkInput asks the policy about a request that is valid and within its caller's
// limits, and returns the plan for what it lets through.
func (s *Service) checkInput(ctx context.Context, st *Stream, r Request) (*plan, error) {
	p := st.plan
	if s.policy == nil {
		return p, nil
	}
	seen := make([]Prompt, len(r.Prompts))
	for i, prompt := range r.Prompts {
		seen[i] = prompt
		if ids, ok := prompt.(TokenIDs); ok {
			seen[i] = Text("")
			if t := s.model.Tokenizer; t != nil {
				seen[i] = Text(t.Decode(ids, false))
			}
		}
	}
	allowed, err := s.policy.CheckInput(ctx, st.subject(), seen)
	if err != nil {
		return nil, err
	}
	changed := false
	prompts := make([]Prompt, len(r.Prompts))
	for i := range prompts {
		prompts[i] = r.Prompts[i]
		if !samePrompt(allowed[i], seen[i]) {
			prompts[i], changed = allowed[i], true
		}
	}
	if !changed {
		return p, nil
	}
	r.Prompts, r.ID, r.Sampling.Seed = prompts, p.id, &p.sampling.Seed
	redacted, err := s.resolve(r)
	if err != nil {
		return nil, fmt.Errorf("%w: the redacted request is not valid: %v", ErrPolicy, err)
	}
	redacted.priority, redacted.tenant = p.priority, p.tenant
	return redacted, nil
}

// samePrompt compares what a policy can change.
func samePrompt(a, b Prompt) bool { return inputText(a) == inputText(b) }

func (st *Stream) subject() PolicySubject {
	return PolicySubject{RequestID: st.plan.id, Caller: st.caller.Name, Model: st.svc.model.Name}
}

// gate holds back a choice's output until the policy has seen it.
type gate struct {
	held     []*Delta
	chars    int    // of their text
	released string // the end of what has gone
	due      <-chan time.Time
	timer    *time.Timer
}

// emit hands a delta on, through the gate where there is a policy; a refusal
// changes the finish.
func (c *choice) emit(d *Delta) (*Finish, error) {
	s := c.stream.svc
	if s.policy == nil {
		c.stream.push(c.prompt, d)
		return d.Finish, nil
	}
	g := &c.gate
	if len(g.held) == 0 && d.Finish == nil {
		g.timer = time.NewTimer(s.policyConfig.Hold)
		g.due = g.timer.C
	}
	g.held = append(g.held, d)
	g.chars += utf8.RuneCountInString(deltaText(d))
	if d.Finish == nil && g.chars < s.policyConfig.Window {
		return nil, nil
	}
	return c.release()
}

// release asks about all that is held, and lets go what may.
func (c *choice) release() (*Finish, error) {
	g, s := &c.gate, c.stream.svc
	if g.timer != nil {
		g.timer.Stop()
		g.due = nil
	}
	last := g.held[len(g.held)-1]
	w := PolicyWindow{Index: c.seq.Index, Released: g.released, Final: last.Finish != nil}
	for _, d := range g.held {
		w.Held += deltaText(d)
	}
	var v PolicyVerdict
	if w.Held != "" {
		var err error
		if v, err = s.policy.CheckOutput(c.stream.ctx, c.stream.subject(), w); err != nil {
			return nil, err
		}
	}
	switch {
	case v.Refuse:
		c.cancel()
		last = &Delta{Index: c.seq.Index, Finish: &Finish{Reason: FinishFilter, CompletionTokens: c.generated}}
		g.held, g.chars = nil, 0
		c.stream.push(c.prompt, last)
		return last.Finish, nil
	case v.Redact:
		// Tokens and log-probabilities would tell what was there.
		c.let(&Delta{Index: c.seq.Index, Text: v.Replacement, Finish: last.Finish})
		g.held, g.chars = nil, 0
		return last.Finish, nil
	}
	keep := 0
	n := len(g.held)
	for ; !w.Final && n > 0 && keep < v.Keep; n-- {
		keep += utf8.RuneCountInString(deltaText(g.held[n-1]))
	}
	for _, d := range g.held[:n] {
		c.let(d)
	}
	g.held, g.chars = g.held[n:], keep
	return last.Finish, nil
}

// let gives a delta to the client.
func (c *choice) let(d *Delta) {
	g := &c.gate
	g.released += deltaText(d)
	if n := len(g.released) - 4*contextChars; n > 0 {
		g.released = strings.ToValidUTF8(g.released[n:], "")
	}
	c.stream.push(c.prompt, d)
}

// deltaText is what a delta says: text, and what tools are called with.
func deltaText(d *Delta) string {
	text := d.Text
	for _, p := range d.ToolCalls {
		text += p.Name + p.Arguments
	}
	return text
}
