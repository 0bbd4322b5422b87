package openai_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
)

type wireError struct {
	Error struct {
		Message, Type string
		Param, Code   *string
	}
}

func (r reply) wantError(status int, param, code string, parts ...string) {
	r.t.Helper()
	var e wireError
	if err := json.Unmarshal([]byte(r.body), &e); err != nil || r.status != status {
		r.t.Errorf("status %d, want %d: %s", r.status, status, r.body)
		return
	}
	str := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	if str(e.Error.Param) != param || str(e.Error.Code) != code || e.Error.Type == "" {
		r.t.Errorf("want param %q code %q: %s", param, code, r.body)
	}
	for _, p := range parts {
		if !strings.Contains(e.Error.Message, p) {
			r.t.Errorf("%q lacks %q", e.Error.Message, p)
		}
	}
	if r.header.Get("X-Request-Id") == "" {
		r.t.Error("no request id")
	}
}

func TestBadBodies(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{})
	bad := func(body, param, code string, parts ...string) {
		t.Helper()
		s.post("/v1/completions", body).wantError(400, param, code, parts...)
	}
	bad(`{"prompt":`, "", "invalid_json", "not JSON")
	bad(`[1]`, "", "invalid_json", "must be a JSON object, not an array")
	bad(`null`, "", "invalid_json", "not null")
	bad("{\"prompt\":\"\xff\"}", "", "invalid_json", "not UTF-8", "byte 11")
	bad(`{"prompt":"\\ud800 is fine, \ud83d\ude00 too, \ud800 not"}`, "", "invalid_json", "surrogate", "byte 46")
	bad(`{}`, "prompt", "invalid_value", "is missing")
	bad(`{"prompt":""}`, "prompt", "invalid_value", "is empty")
	bad(`{"prompt":[]}`, "prompt", "invalid_value", "empty list")
	bad(`{"prompt":["a",[1]]}`, "prompt", "invalid_value", "mixes kinds")
	bad(`{"prompt":[1,null]}`, "prompt", "invalid_value", "entry 1 is null")
	bad(`{"prompt":[null]}`, "prompt", "invalid_value", "null")
	bad(`{"prompt":[1.5]}`, "prompt", "invalid_value", "1.5 at position 0 is no token id")
	bad(`{"prompt":[99999999999]}`, "prompt", "invalid_value", "is no token id")
	bad(`{"prompt":[[1],[300]]}`, "prompt", "invalid_value", "prompt 1 of 2", "token id 300")
	bad(`{"prompt":{"a":1}}`, "prompt", "invalid_value", "got an object")
	bad(`{"prompt":true}`, "prompt", "invalid_value", "got a boolean")
	bad(`{"prompt":"a","max_tokens":"5"}`, "max_tokens", "invalid_value", "must be a number, got a string")
	bad(`{"prompt":"a","max_tokens":1.5}`, "max_tokens", "invalid_value", "integer")
	bad(`{"prompt":"a","max_tokens":5000}`, "max_tokens", "context_length_exceeded", "5000 is too large")
	bad(`{"prompt":"`+strings.Repeat("a", 1001)+`"}`, "prompt", "context_length_exceeded", "1001 tokens", "1000")
	bad(`{"prompt":"a","temperature":1e99}`, "temperature", "invalid_value", "out of range")
	bad(`{"prompt":"a","seed":1.5}`, "seed", "invalid_value", "64-bit")
	bad(`{"prompt":"a","stop":[1]}`, "stop", "invalid_value", "entry 0 is a number")
	bad(`{"prompt":"a","stop":5}`, "stop", "invalid_value", "must be a string or a list of strings, got a number")
	bad(`{"prompt":"a","n":9223372036854775808}`, "n", "invalid_value", "9223372036854775808 is out of range")
	bad(`{"prompt":"a","logit_bias":{"-1":1}}`, "logit_bias", "invalid_value", "token id -1 is outside the vocabulary")
	bad(`{"prompt":"a","guided_regex":"("}`, "guided_regex", "invalid_value", "missing closing )")
	bad(`{"prompt":"a","guided_regex":"a","min_tokens":1}`, "guided_regex", "invalid_value", "min_tokens")
	bad(`{"prompt":"a","structured_outputs":{"grammar":"root ::= x"}}`, "structured_outputs", "invalid_value", "no rule named x")
	bad(`{"prompt":"a","structured_outputs":{"regexp":"a"}}`, "structured_outputs", "invalid_value", "regexp: not supported")
	bad(`{"prompt":"a","structured_outputs":{}}`, "structured_outputs", "invalid_value", "needs one of")
	bad(`{"prompt":"a","structured_outputs":{"choice":[1]}}`, "structured_outputs", "invalid_value", "choice: must be")
	bad(`{"prompt":"a","response_format":{"type":"xml"}}`, "response_format", "invalid_value", "got \"xml\"")
	bad(`{"prompt":"a","response_format":{"type":"json_object","schema":{}}}`, "response_format", "invalid_value", "schema: not supported")
	bad(`{"prompt":"a","response_format":{"type":"json_schema","json_schema":{"schema":{},"additionalProperties":false}}}`, "response_format", "invalid_value", "additionalProperties: not supported")
	bad(`{"prompt":"a","response_format":{"type":"json_schema"}}`, "response_format", "invalid_value", "schema is missing")
	bad(`{"prompt":"a","response_format":{"type":"json_schema","json_schema":{"schema":{"type":"strin"}}}}`, "response_format", "invalid_value", "#/type")
	bad(`{"prompt":"a","stream":true,"stream_options":{"continuous_usage_stats":true}}`, "stream_options", "invalid_value", "continuous_usage_stats")
	bad(`{"prompt":"a","echo":"yes"}`, "echo", "invalid_value", "must be a boolean")
	bad(`{"prompt":"a","logprobs":21}`, "logprobs", "invalid_value", "between 0 and 20")
	bad(`{"prompt":"a","n":2,"best_of":3}`, "best_of", "invalid_value", "must equal n (2)")
	bad(`{"prompt":"a","stream_options":{"include_usage":true}}`, "stream_options", "invalid_value", "stream: true")
	for field, value := range map[string]string{
		"suffix": `"x"`,
	} {
		bad(`{"prompt":"a","`+field+`":`+value+`}`, field, "invalid_value", "not supported yet")
	}
	var c completion
	s.post("/v1/completions", `{"prompt":"a","suffix":"","tools":[],"response_format":{"type":"text"},"logit_bias":{},"presence_penalty":0,
		"frequency_penalty":0.0,"repetition_penalty":1,"min_p":0,"best_of":1,"user":"me","priority":3,"nobody_knows":1,
		"seed":-5,"top_k":-1,"stream":false,"temperature":null,"stop":null,"n":null}`).ok(&c)
}

func TestRoutes(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{})
	s.do("GET", "/v1/nothing", "").wantError(404, "", "route_not_found", "/v1/nothing")
	r := s.do("GET", "/v1/completions", "")
	r.wantError(405, "", "method_not_allowed")
	if r.header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", r.header.Get("Allow"))
	}
	r = s.post("/v1/models", `{}`)
	r.wantError(405, "", "method_not_allowed")
	if r.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow: %q", r.header.Get("Allow"))
	}
	s.do("POST", "/v1/completions", `{}`, "Content-Type", "text/plain", "Origin", "http://example.com").wantError(415, "", "unsupported_media_type")
	s.do("POST", "/v1/completions", `{}`, "Content-Encoding", "gzip").wantError(415, "", "unsupported_content_encoding", "gzip")
	s.post("/v1/completions", `{"prompt":"`+strings.Repeat("a", 1<<16)+`"}`).wantError(413, "", "body_too_large", "65536")
	s.post("/v1/completions", `{"model":"gpt","prompt":"a"}`).wantError(404, "model", "model_not_found", `"gpt"`, "served: tiny")
	s.do("GET", "/v1/models/gpt", "").wantError(404, "model", "model_not_found")
	s.do("GET", "/v1/models/", "").wantError(404, "model", "model_not_found")
	if r := s.do("HEAD", "/livez", ""); r.status != 200 {
		t.Errorf("HEAD /livez: %d", r.status)
	}
	if r := s.do("GET", "/version", ""); !strings.Contains(r.body, "v0.0.1") {
		t.Errorf("version %s", r.body)
	}
	if r := s.do("GET", "/metrics", ""); r.status != 200 || !strings.Contains(r.body, `vllm:prompt_tokens_total{engine="0",model_name="tiny"} 0`) ||
		!strings.Contains(r.body, `sullae_http_requests_total{code="404",route=""} 1`) {
		t.Errorf("metrics %s", r.body)
	}
	// An id that can't be a header's is replaced.
	if r := s.do("GET", "/livez", "", "X-Request-Id", "a b"); len(r.header.Get("X-Request-Id")) < 20 {
		t.Errorf("id %q", r.header.Get("X-Request-Id"))
	}
}

func TestRefusals(t *testing.T) {
	e := &gatewaytest.Engine{}
	s := serve(t, e)
	refuse := func(err error) { e.SubmitErr.Store(&err); e.ReadyErr.Store(&err) }
	refuse(&gateway.RetryError{Err: gateway.ErrOverloaded, After: 2500 * time.Millisecond})
	for _, stream := range []string{"false", "true"} {
		r := s.post("/v1/completions", `{"prompt":"a","stream":`+stream+`}`)
		r.wantError(429, "", "queue_full")
		if r.header.Get("Retry-After") != "3" {
			t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
		}
	}
	refuse(&gateway.RetryError{Err: gateway.ErrUnavailable})
	for _, path := range []string{"/readyz", "/health"} {
		r := s.do("GET", path, "")
		r.wantError(503, "", "not_serving", gateway.ErrUnavailable.Error())
		if r.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
		}
	}
	if r := s.do("GET", "/livez", ""); r.status != 200 {
		t.Error("alive is alive")
	}
	refuse(errors.New("secret of the house"))
	r := s.do("POST", "/v1/completions", `{"prompt":"a"}`, "X-Request-Id", "r7")
	r.wantError(500, "", "internal_error", "r7")
	if strings.Contains(r.body, "secret") || !strings.Contains(s.log.String(), "secret of the house") {
		t.Error("what went wrong belongs in the log, not in the answer")
	}
}

func TestNoTokenizer(t *testing.T) {
	s := serve(t, &gatewaytest.Engine{}, func(c *gateway.Config) { c.Model.Tokenizer, c.Model.Template = nil, nil })
	for path, body := range map[string]string{
		"/v1/completions":      `{"prompt":"a"}`,
		"/v1/chat/completions": `{"messages":[{"role":"user","content":"a"}]}`,
		"/tokenize":            `{"prompt":"a"}`,
		"/detokenize":          `{"tokens":[1]}`,
	} {
		s.post(path, body).wantError(400, "", "no_tokenizer", "token ids")
	}
	s.do("GET", "/tokenizer_info", "").wantError(400, "", "no_tokenizer")
	var c completion
	s.post("/v1/completions", `{"prompt":[[1,2]],"max_tokens":2,"return_token_ids":true,"echo":true,"logprobs":1}`).ok(&c)
	if ch := c.Choices[0]; ch.Text != "" || len(ch.TokenIDs) != 2 || ch.Logprobs.Tokens[0] != "token_id:1" {
		t.Errorf("got %+v", ch)
	}
}

func TestErrorInAStream(t *testing.T) {
	e := &gatewaytest.Engine{FailAt: 3, FailErr: &gateway.RetryError{Err: gateway.ErrUnavailable}}
	s := serve(t, e)
	events := s.post("/v1/completions", `{"prompt":"a","stream":true}`).events()
	var last wireError
	if err := json.Unmarshal([]byte(events[len(events)-1]), &last); err != nil || len(events) != 3 || *last.Error.Code != "not_serving" {
		t.Errorf("events %s", events)
	}
	// Before the first token there is still a status.
	e.FailAt = 1
	s.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"a"}],"stream":true}`).wantError(503, "", "not_serving")
}

func TestPanic(t *testing.T) {
	s := serve(t, panics{})
	s.post("/v1/completions", `{"prompt":"a"}`).wantError(500, "", "internal_error")
	if !strings.Contains(s.log.String(), "errors_test.go") {
		t.Error("the log has no stack")
	}
}

type panics struct{}

func (panics) Ready() error { panic("boom") }
func (panics) Submit(context.Context, gateway.Sequence) (<-chan gateway.Event, error) {
	panic("boom")
}

func TestDisconnectCancels(t *testing.T) {
	for _, stream := range []string{"true", "false"} {
		e := &gatewaytest.Engine{Step: make(chan struct{})}
		s := serve(t, e)
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/completions",
			strings.NewReader(`{"prompt":["a","b"],"n":2,"max_tokens":100,"stream":`+stream+`}`))
		req.Header.Set("Content-Type", "application/json")
		done := make(chan error, 1)
		go func() {
			resp, err := s.http.Do(req)
			if err == nil {
				defer resp.Body.Close()
				_, err = bufio.NewReader(resp.Body).ReadString('\n') // the first event
				cancel()
			}
			done <- err
		}()
		if !e.WaitSubmitted(4) {
			t.Fatal("the sequences were not started")
		}
		e.Step <- struct{}{}
		if stream == "false" {
			cancel()
		}
		<-done
		if !e.Wait() || e.Cancelled() != 4 {
			t.Errorf("stream %s: %d of 4 sequences were cancelled", stream, e.Cancelled())
		}
		cancel()
	}
}
