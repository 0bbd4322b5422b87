package openai_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
	"github.com/sullae/sullae/coordinator/gateway/openai"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type server struct {
	t    *testing.T
	url  string
	log  *bytes.Buffer // read it after the server's end, or after a call's
	http *http.Client
}

func serve(t *testing.T, e gateway.Engine, change ...func(*gateway.Config)) *server {
	t.Helper()
	reg := prometheus.NewRegistry()
	s := &server{t: t, log: &bytes.Buffer{}}
	c := gateway.Config{Model: gatewaytest.Model(), Engine: e, Registry: reg, NewSeed: func() uint64 { return 42 },
		Logger: slog.New(slog.NewTextHandler(s.log, nil))}
	for _, f := range change {
		f(&c)
	}
	h := openai.NewHandler(openai.Config{Service: gateway.New(c), Metrics: reg, Version: "v0.0.1", MaxBodyBytes: 1 << 16})
	hs := httptest.NewUnstartedServer(h)
	hs.Config = openai.NewServer(h, openai.BodySilence)
	hs.Start()
	s.url, s.http = hs.URL, hs.Client()
	t.Cleanup(func() {
		hs.Close()
		if f, ok := e.(*gatewaytest.Engine); ok && !f.Wait() {
			t.Error("a sequence still runs after the test")
		}
	})
	return s
}

type reply struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

func (s *server) do(method, path, body string, header ...string) reply {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply{s.t, resp.StatusCode, resp.Header, string(b)}
}

func (s *server) post(path, body string) reply { s.t.Helper(); return s.do("POST", path, body) }

// ok decodes a reply that must be a success.
func (r reply) ok(v any) {
	r.t.Helper()
	if r.status != http.StatusOK {
		r.t.Fatalf("status %d: %s", r.status, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), v); err != nil {
		r.t.Fatalf("%v: %s", err, r.body)
	}
}

// events splits a stream; the last must be [DONE], which is left out.
func (r reply) events() []string {
	r.t.Helper()
	if ct := r.header.Get("Content-Type"); r.status != http.StatusOK || !strings.HasPrefix(ct, "text/event-stream") {
		r.t.Fatalf("status %d, %s: %s", r.status, ct, r.body)
	}
	all := strings.Split(strings.TrimSuffix(r.body, "\n\n"), "\n\n")
	for i, e := range all {
		data, ok := strings.CutPrefix(e, "data: ")
		if !ok {
			r.t.Fatalf("event %d: %q", i, e)
		}
		all[i] = data
	}
	if all[len(all)-1] != "[DONE]" {
		r.t.Fatalf("the stream ends with %q", all[len(all)-1])
	}
	return all[:len(all)-1]
}

type completion struct {
	ID, Object, Model string
	Choices           []struct {
		Index    int
		Text     string
		Logprobs *struct {
			Tokens        []string
			TokenLogprobs []*float32           `json:"token_logprobs"`
			TopLogprobs   []map[string]float32 `json:"top_logprobs"`
			TextOffset    []int                `json:"text_offset"`
		}
		FinishReason   *string `json:"finish_reason"`
		StopReason     any     `json:"stop_reason"`
		TokenIDs       []int32 `json:"token_ids"`
		PromptTokenIDs []int32 `json:"prompt_token_ids"`
	}
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
		TotalTokens      int `json:"total_tokens"`
	}
}
