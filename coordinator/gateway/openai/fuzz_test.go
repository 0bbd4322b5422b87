package openai_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
	"github.com/sullae/sullae/coordinator/gateway/openai"
)

// FuzzCompletionRequest: whatever is sent, the answer is JSON with a status of
// 200 or 4xx, never a panic or a fault of ours.
func FuzzCompletionRequest(f *testing.F) {
	for _, seed := range []string{
		`{"prompt":"ab","max_tokens":3,"stop":["x","y"],"logprobs":2,"echo":true,"n":2,"return_token_ids":true}`,
		`{"prompt":[[1,2],[3]],"temperature":0.5,"top_p":0.9,"top_k":5,"seed":-1,"ignore_eos":true,"stop_token_ids":[5]}`,
		`{"prompt":[1,2,3],"max_tokens":0,"echo":true,"logprobs":1,"best_of":1}`,
		`{"prompt":["a"],"response_format":{"type":"text"},"logit_bias":{"1":2},"x":[[[]]]}`,
		`{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"logprobs":true,"top_logprobs":3}`,
		`{"messages":[{"role":"assistant","content":null,"tool_calls":[]}],"max_completion_tokens":4}`,
		`{"prompt":"\ud800","n":1e0}`, `{"prompt":[null]}`, `[]`, `{`, "{\"\xff\":1}", ``,
	} {
		f.Add([]byte(seed))
	}
	m := gatewaytest.Model()
	m.MaxLen = 30 // n and log-probabilities make a lot of output of little input
	h := openai.NewHandler(openai.Config{Service: gateway.New(gateway.Config{Model: m, Engine: &gatewaytest.Engine{}})})
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"} {
			r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusOK && w.Code/100 != 4 {
				t.Fatalf("%s %q: status %d: %s", path, body, w.Code, w.Body)
			}
			if ct := w.Header().Get("Content-Type"); ct == "application/json; charset=utf-8" && !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%s %q: not JSON: %s", path, body, w.Body)
			}
		}
	})
}
