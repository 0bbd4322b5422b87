package gateway_test

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ptr[T any](v T) *T { return &v }

func newService(t *testing.T, e *gatewaytest.Engine, change ...func(*gateway.Config)) *gateway.Service {
	t.Helper()
	c := gateway.Config{Model: gatewaytest.Model(), Engine: e,
		Logger:  slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		NewSeed: func() uint64 { return 42 }}
	for _, f := range change {
		f(&c)
	}
	t.Cleanup(func() {
		if !e.Wait() {
			t.Error("a sequence still runs after the test")
		}
	})
	return gateway.New(c)
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// result is a stream, collected.
type result struct {
	prompts []*gateway.PromptInfo
	choices []choice
	pieces  []string // the texts, in order, of choice 0
	err     error
}

type choice struct {
	text     string
	ids      []int32
	logprobs []gateway.TokenLogprob
	finish   *gateway.Finish
	calls    []gateway.ToolCall // pieces joined
	pieces   []gateway.ToolCallPiece
}

func generate(t *testing.T, s *gateway.Service, r gateway.Request) result {
	t.Helper()
	st, err := s.Generate(t.Context(), r)
	if err != nil {
		return result{err: err}
	}
	defer st.Close()
	return collect(t, st)
}

func collect(t *testing.T, st *gateway.Stream) result {
	t.Helper()
	res := result{choices: make([]choice, st.Prompts()*st.N()), prompts: make([]*gateway.PromptInfo, st.Prompts())}
	for {
		it, err := st.Next()
		if err == io.EOF {
			return res
		}
		if err != nil {
			res.err = err
			return res
		}
		if it.Prompt != nil {
			if res.prompts[it.Prompt.Index] != nil {
				t.Error("a prompt's info came twice")
			}
			res.prompts[it.Prompt.Index] = it.Prompt
			continue
		}
		d := it.Delta
		if res.prompts[d.Index/st.N()] == nil {
			t.Error("a delta came before its prompt's info")
		}
		c := &res.choices[d.Index]
		if c.finish != nil {
			t.Error("a delta came after its choice's finish")
		}
		c.text += d.Text
		c.ids = append(c.ids, d.TokenIDs...)
		c.logprobs = append(c.logprobs, d.Logprobs...)
		c.finish = d.Finish
		c.pieces = append(c.pieces, d.ToolCalls...)
		for _, p := range d.ToolCalls {
			if p.Name != "" {
				c.calls = append(c.calls, gateway.ToolCall{ID: p.ID, Name: p.Name})
			}
			if p.Index < len(c.calls) { // else the client has its beginning
				c.calls[p.Index].Arguments += p.Arguments
			}
		}
		if d.Index == 0 {
			res.pieces = append(res.pieces, d.Text)
		}
	}
}

func text(s string) []gateway.Prompt { return []gateway.Prompt{gateway.Text(s)} }
