package sample

import "math"

// Process changes logits before a token is chosen. Log-probabilities are told
// as they were before it. The zero value changes nothing. The order is vLLM's:
// allowed tokens, bad words, minimum length, bias, penalties.
type Process struct {
	Repetition float32 // 0 or 1: off; divides (or multiplies, below 0) logits of tokens seen
	Presence   float32 // subtracted from tokens generated
	Frequency  float32 // subtracted for each time a token was generated
	Bias       []Bias
	BadWords   [][]int32 // a sequence's last token is forbidden after the others
	// Until MinTokens are generated, StopTokens are forbidden.
	MinTokens  int
	StopTokens []int32
}

// Bias is added to a token's logit.
type Bias struct {
	ID  int32
	Add float32
}

// History is what a Process needs to know of a sequence's tokens.
type History struct {
	prompt    map[int32]bool
	generated map[int32]int
	tokens    []int32 // generated
}

// NewHistory starts after the prompt.
func NewHistory(prompt []int32) *History {
	h := &History{prompt: make(map[int32]bool, len(prompt)), generated: map[int32]int{}}
	for _, t := range prompt {
		h.prompt[t] = true
	}
	return h
}

// Push adds generated tokens.
func (h *History) Push(tokens ...int32) {
	for _, t := range tokens {
		h.generated[t]++
	}
	h.tokens = append(h.tokens, tokens...)
}

// Pop takes the last n tokens back.
func (h *History) Pop(n int) {
	keep := len(h.tokens) - n
	for _, t := range h.tokens[keep:] {
		if h.generated[t]--; h.generated[t] == 0 {
			delete(h.generated, t)
		}
	}
	h.tokens = h.tokens[:keep]
}

// Active reports whether Apply would ever change anything.
func (p *Process) Active() bool {
	return p.Repetition != 0 && p.Repetition != 1 || p.Presence != 0 || p.Frequency != 0 ||
		len(p.Bias) > 0 || len(p.BadWords) > 0 || p.MinTokens > 0 && len(p.StopTokens) > 0
}

// Apply changes the logits of ids [base, base+len(logits)) in place. Each is
// changed by itself, so the result does not depend on the range.
func (p *Process) Apply(logits []float32, base int32, h *History) {
	at := func(id int32) *float32 {
		if i := int(id) - int(base); i >= 0 && i < len(logits) {
			return &logits[i]
		}
		return nil
	}
	forbid := func(id int32) {
		if x := at(id); x != nil {
			*x = float32(math.Inf(-1))
		}
	}
	for _, w := range p.BadWords {
		if n := len(w) - 1; n >= 0 && len(h.tokens) >= n && equal(h.tokens[len(h.tokens)-n:], w[:n]) {
			forbid(w[n])
		}
	}
	if len(h.tokens) < p.MinTokens {
		for _, id := range p.StopTokens {
			forbid(id)
		}
	}
	for _, b := range p.Bias {
		if x := at(b.ID); x != nil {
			*x += b.Add
		}
	}
	if p.Repetition != 0 && p.Repetition != 1 {
		repeat := func(id int32) {
			if x := at(id); x != nil {
				if *x > 0 {
					*x /= p.Repetition
				} else {
					*x *= p.Repetition
				}
			}
		}
		for id := range h.prompt {
			repeat(id)
		}
		for id := range h.generated {
			if !h.prompt[id] {
				repeat(id)
			}
		}
	}
	if p.Presence != 0 || p.Frequency != 0 {
		for id, n := range h.generated {
			if x := at(id); x != nil {
				// Rounded before it is subtracted: no fused operation.
				*x -= float32(p.Frequency * float32(n))
				*x -= p.Presence
			}
		}
	}
}

// Restrict forbids the ids [base, base+len(logits)) whose bits are not set; nil
// allows all.
func Restrict(logits []float32, base int32, allowed []uint64) {
	if allowed == nil {
		return
	}
	for i := range logits {
		id := int(base) + i
		if id/64 >= len(allowed) || allowed[id/64]>>(id%64)&1 == 0 {
			logits[i] = float32(math.Inf(-1))
		}
	}
}

func equal(a, b []int32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
