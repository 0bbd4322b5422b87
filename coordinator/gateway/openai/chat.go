package openai

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/sullae/sullae/coordinator/gateway"
)

// chatRequest is a body of /v1/chat/completions.
type chatRequest struct {
	*params
	maxField string // the name that the client uses for max_tokens
}

func (h *handler) readChat(o *object, id string) (*chatRequest, error) {
	c := &chatRequest{params: readParams(o, id), maxField: "max_tokens"}
	prompt := readChatPrompt(o)
	c.Prompts, c.ToolChoice = []gateway.Prompt{prompt}, readToolChoice(o)
	if m := o.integer("max_completion_tokens"); m != nil {
		if c.Stopping.MaxTokens != nil && *c.Stopping.MaxTokens != *m {
			o.fail("max_completion_tokens", "differs from max_tokens, which is given too")
		}
		c.Stopping.MaxTokens, c.maxField = m, "max_completion_tokens"
	}
	top := o.integer("top_logprobs")
	switch want := o.boolean("logprobs", false); {
	case want && top == nil:
		c.Output.Logprobs = new(int)
	case want:
		c.Output.Logprobs = top
	case top != nil && *top != 0:
		o.fail("top_logprobs", "needs logprobs: true")
	}
	if o.boolean("echo", false) {
		o.fail("echo", "not supported in chat: use /v1/completions")
	}
	if o.boolean("add_special_tokens", false) {
		o.fail("add_special_tokens", "not supported in chat: the template writes them")
	}
	return c, h.checkRest(o, id)
}

type chatCompletion struct {
	ID             string          `json:"id"`
	Object         string          `json:"object"` // "chat.completion" or "chat.completion.chunk"
	Created        int64           `json:"created"`
	Model          string          `json:"model"`
	Choices        []chatChoice    `json:"choices"`
	Usage          json.RawMessage `json:"usage,omitempty"` // as completion's
	PromptTokenIDs *[]int32        `json:"prompt_token_ids,omitempty"`
	PromptLogprobs []scores        `json:"prompt_logprobs,omitempty"`
}

type chatChoice struct {
	Index        int           `json:"index"`
	Message      *chatMessage  `json:"message,omitempty"` // whole
	Delta        *chatDelta    `json:"delta,omitempty"`   // in a stream
	Logprobs     *chatLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
	StopReason   any           `json:"stop_reason"`
	TokenIDs     *[]int32      `json:"token_ids,omitempty"`
}

type chatMessage struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"` // null where there are only calls
	Refusal   any        `json:"refusal"` // always null
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

type chatDelta struct {
	Role      string     `json:"role,omitempty"` // in a choice's first chunk
	Content   *string    `json:"content,omitempty"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

func (h *handler) chat(w http.ResponseWriter, r *http.Request) {
	o, err := h.readObject(w, r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	req, err := h.readChat(o, r.Header.Get(gateway.RequestIDHeader))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	st, err := h.svc.Generate(r.Context(), req.Request)
	if err != nil {
		err = renameField(err, "structure", req.structureField)
		err = renameField(err, "logprobs", "top_logprobs")
		h.fail(w, r, renameField(err, "max_tokens", req.maxField))
		return
	}
	defer st.Close()
	b := &chatBuilder{h: h, req: req, n: st.N(),
		head: chatCompletion{ID: "chatcmpl-" + st.ID(), Object: "chat.completion", Created: h.svc.Now().Unix(), Model: h.svc.Models()[0].Name}}
	if req.stream {
		b.head.Object = "chat.completion.chunk"
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
