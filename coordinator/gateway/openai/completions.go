package openai

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/sullae/sullae/coordinator/gateway"
)

// completionRequest is a body of /v1/completions.
type completionRequest struct {
	*params
	echo bool
}

// defaultMaxTokens is OpenAI's, for completions.
const defaultMaxTokens = 16

func (h *handler) readCompletion(o *object, id string) (*completionRequest, error) {
	c := &completionRequest{params: readParams(o, id), echo: o.boolean("echo", false)}
	c.Stopping.DefaultMaxTokens = defaultMaxTokens
	c.Prompts = readPrompts(o)
	c.NoSpecialTokens = !o.boolean("add_special_tokens", true)
	c.Output.Logprobs = o.integer("logprobs")
	if c.echo {
		c.Output.PromptText = true
		if p, l := c.Output.PromptLogprobs, c.Output.Logprobs; p != nil && l != nil && *p != *l {
			o.fail("prompt_logprobs", "must be equal to logprobs (%d) where there is echo, got %d", *l, *p)
		}
		if c.Output.Logprobs != nil {
			c.Output.PromptLogprobs = c.Output.Logprobs
		}
	}
	for _, name := range []string{"tools", "tool_choice", "documents", "chat_template_kwargs"} {
		if raw := o.get(name); raw != nil && !isEmpty(raw) {
			o.fail(name, "belongs to /v1/chat/completions: there is no chat template here")
		}
	}
	if best := o.integer("best_of"); best != nil && *best != c.n {
		o.fail("best_of", "must equal n (%d), got %d: choosing the best of more is not supported", c.n, *best)
	}
	return c, h.checkRest(o, id)
}

// readPrompts takes a string, a list of token ids, or a list of either.
func readPrompts(o *object) []gateway.Prompt {
	const name = "prompt"
	raw := o.get(name)
	if raw == nil {
		o.fail(name, "is missing")
		return nil
	}
	if kindOf(raw) == "string" {
		return []gateway.Prompt{gateway.Text(o.str(name))}
	}
	if kindOf(raw) != "array" {
		o.fail(name, "must be a string, a list of token ids, or a list of either; got %s", article(kindOf(raw)))
		return nil
	}
	// The common long case, a list of ids, is read in one go.
	var ids []int32
	if json.Unmarshal(raw, &ids) == nil && len(ids) > 0 {
		return []gateway.Prompt{gateway.TokenIDs(o.parseIDs(name, raw))}
	}
	list := entries(raw)
	if len(list) == 0 {
		o.fail(name, "is an empty list")
		return nil
	}
	first := kindOf(list[0])
	prompts := make([]gateway.Prompt, 0, len(list))
	for i, e := range list {
		switch kind := kindOf(e); {
		case kind != first:
			o.fail(name, "mixes kinds: entry 0 is %s, entry %d is %s", article(first), i, article(kind))
		case kind == "string":
			var s string
			_ = json.Unmarshal(e, &s)
			prompts = append(prompts, gateway.Text(s))
		case kind == "array":
			prompts = append(prompts, gateway.TokenIDs(o.parseIDs(name, e)))
		case kind == "number":
			return []gateway.Prompt{gateway.TokenIDs(o.parseIDs(name, raw))}
		default:
			o.fail(name, "must be a string, a list of token ids, or a list of either; entry %d is %s", i, article(kind))
		}
		if o.err != nil {
			return nil
		}
	}
	return prompts
}

type completion struct {
	ID      string             `json:"id"`
	Object  string             `json:"object"` // "text_completion", in a stream too
	Created int64              `json:"created"`
	Model   string             `json:"model"`
	Choices []completionChoice `json:"choices"`
	// Usage is absent from a stream's chunks unless it was asked for; then it
	// is null in all but the last.
	Usage json.RawMessage `json:"usage,omitempty"`
}

type completionChoice struct {
	Index          int       `json:"index"`
	Text           string    `json:"text"`
	Logprobs       *logprobs `json:"logprobs"`
	FinishReason   *string   `json:"finish_reason"`
	StopReason     any       `json:"stop_reason"`
	PromptTokenIDs *[]int32  `json:"prompt_token_ids,omitempty"`
	PromptLogprobs []scores  `json:"prompt_logprobs,omitempty"`
	TokenIDs       *[]int32  `json:"token_ids,omitempty"`
}

func (h *handler) completions(w http.ResponseWriter, r *http.Request) {
	o, err := h.readObject(w, r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	req, err := h.readCompletion(o, r.Header.Get(gateway.RequestIDHeader))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	st, err := h.svc.Generate(r.Context(), req.Request)
	if err != nil {
		h.fail(w, r, renameField(err, "structure", req.structureField))
		return
	}
	defer st.Close()
	b := &completionBuilder{req: req, n: st.N(), infos: make([]*gateway.PromptInfo, st.Prompts()),
		head: completion{ID: "cmpl-" + st.ID(), Object: "text_completion", Created: h.svc.Now().Unix(), Model: h.svc.Models()[0].Name}}
	if req.stream {
		h.serveStream(w, r, st, b.chunks, b.usageChunk)
		return
	}
	whole, err := b.collect(st)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set(seedHeader, strconv.FormatUint(st.Seed(), 10))
	writeJSON(w, http.StatusOK, whole)
}
