package openai

import (
	"maps"
	"net/http"

	"github.com/sullae/sullae/coordinator/gateway"
)

// tokenize answers {"prompt"} or {"messages"} with token ids, as vLLM does.
func (h *handler) tokenize(w http.ResponseWriter, r *http.Request) {
	o, err := h.readObject(w, r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	req := gateway.TokenizeRequest{Model: o.str("model")}
	if o.get("messages") != nil {
		req.Input = readChatPrompt(o)
		req.NoGenerationPrompt = !o.boolean("add_generation_prompt", true)
	} else if raw := o.want("prompt", "string"); raw != nil {
		req.Input = gateway.Text(o.str("prompt"))
	}
	if o.get("add_special_tokens") != nil {
		add := o.boolean("add_special_tokens", true)
		req.AddSpecialTokens = &add
	}
	withTokens := o.boolean("return_token_strs", false)
	if err := h.checkRest(o, r.Header.Get(gateway.RequestIDHeader)); err != nil {
		h.fail(w, r, err)
		return
	}
	ids, err := h.svc.Tokenize(req)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	out := struct {
		Count       int      `json:"count"`
		MaxModelLen int      `json:"max_model_len"`
		Tokens      []int32  `json:"tokens"`
		TokenStrs   []string `json:"token_strs"`
	}{Count: len(ids), MaxModelLen: h.svc.Models()[0].MaxLen, Tokens: append([]int32{}, ids...)}
	if withTokens {
		out.TokenStrs = make([]string, len(ids))
		for i, id := range ids {
			out.TokenStrs[i] = h.svc.TokenText(id)
		}
	}
	writeJSON(w, http.StatusOK, out)
}

// detokenize answers {"tokens"} with {"prompt"}; special tokens are kept.
func (h *handler) detokenize(w http.ResponseWriter, r *http.Request) {
	o, err := h.readObject(w, r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	model, tokens := o.str("model"), o.ids("tokens")
	if tokens == nil {
		o.fail("tokens", "is missing")
	}
	skip := o.boolean("skip_special_tokens", false)
	if err := h.checkRest(o, r.Header.Get(gateway.RequestIDHeader)); err != nil {
		h.fail(w, r, err)
		return
	}
	text, err := h.svc.Detokenize(model, tokens, skip)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Prompt string `json:"prompt"`
	}{text})
}

// tokenizerInfo tells tokenizer_config.json, with the special tokens as plain
// strings (the file may have them as objects), and EOS even where the file
// doesn't name it.
func (h *handler) tokenizerInfo(w http.ResponseWriter, r *http.Request) {
	m := h.svc.Models()[0]
	if m.Tokenizer == nil {
		_, err := h.svc.Detokenize("", nil, false)
		h.fail(w, r, err)
		return
	}
	info := maps.Clone(m.TokenizerConfig)
	if info == nil {
		info = map[string]any{}
	}
	for _, name := range []string{"bos_token", "eos_token", "pad_token", "unk_token"} {
		if token, ok := info[name].(map[string]any); ok {
			info[name] = token["content"]
		}
	}
	if info["eos_token"] == nil && len(m.EOS) > 0 {
		info["eos_token"] = h.svc.TokenText(m.EOS[0])
	}
	info["model_max_length"] = m.MaxLen
	writeJSON(w, http.StatusOK, info)
}
