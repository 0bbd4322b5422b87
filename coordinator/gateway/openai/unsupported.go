package openai

import (
	"encoding/json"
	"log/slog"
	"strconv"

	"github.com/sullae/sullae/coordinator/gateway"
)

// notYet lists documented fields (OpenAI's and vLLM's) that would change the
// answer and aren't supported, each with the values that change nothing.
var notYet = map[string]func(json.RawMessage) bool{
	"functions":                  isEmpty,
	"function_call":              isOneOf(`"none"`, `"auto"`),
	"modalities":                 isOneOf(`["text"]`),
	"audio":                      never,
	"prediction":                 never,
	"web_search_options":         never,
	"suffix":                     isOneOf(`""`),
	"guided_whitespace_pattern":  never,
	"allowed_token_ids":          isEmpty,
	"logits_processors":          isEmpty,
	"use_beam_search":            isFalse,
	"length_penalty":             isNumber(1),
	"include_stop_str_in_output": isFalse,
	"truncate_prompt_tokens":     never,
	"prompt_embeds":              never,
	"chat_template":              never,
	"add_generation_prompt":      isOneOf("true"),
	"continue_final_message":     isFalse,
}

// harmless are documented fields that change nothing here.
var harmless = []string{
	"store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
	"reasoning_effort", "verbosity", "request_id",
}

func never(json.RawMessage) bool       { return false }
func isFalse(raw json.RawMessage) bool { return string(raw) == "false" }

func isEmpty(raw json.RawMessage) bool {
	var list []json.RawMessage
	var fields map[string]json.RawMessage
	return json.Unmarshal(raw, &list) == nil && len(list) == 0 ||
		json.Unmarshal(raw, &fields) == nil && len(fields) == 0
}

func isNumber(want float64) func(json.RawMessage) bool {
	return func(raw json.RawMessage) bool {
		f, err := strconv.ParseFloat(string(raw), 64)
		return err == nil && f == want
	}
}

func isOneOf(values ...string) func(json.RawMessage) bool {
	return func(raw json.RawMessage) bool {
		for _, v := range values {
			if string(raw) == v {
				return true
			}
		}
		return false
	}
}

// checkRest refuses what isn't supported yet, after a request has read its own
// fields, and lists what nobody knows.
func (h *handler) checkRest(o *object, id string) error {
	if o.err != nil {
		return o.err
	}
	for _, name := range harmless {
		o.seen[name] = true
	}
	for _, name := range o.unknown() {
		allows, known := notYet[name]
		if !known {
			h.svc.Logger().Debug("unknown field ignored", slog.String("req", id), slog.String("field", name))
			continue
		}
		if raw := o.get(name); raw != nil && !allows(raw) {
			return &gateway.FieldError{Field: name, Problem: "not supported yet"}
		}
	}
	return nil
}
