package e2e

import (
	"context"
	"encoding/json"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sullae/sullae/proto/client"
	policyv1 "github.com/sullae/sullae/proto/sullae/policy/v1"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// examplePolicy is an operator's policy: it refuses prompts about one word, takes
// names out of prompts, and numbers out of answers; a number at a window's end is
// kept until the window after has shown that it is whole.
type examplePolicy struct {
	policyv1.UnimplementedPolicyServiceServer
	mu      sync.Mutex
	inputs  []string
	windows []*policyv1.CheckOutputRequest
	sleep   time.Duration
	refuse  string // an answer that contains it ends there
}

var (
	number  = regexp.MustCompile(`[0-9]+`)
	partial = regexp.MustCompile(`[0-9]+$`)
)

func (e *examplePolicy) CheckInput(ctx context.Context, r *policyv1.CheckInputRequest) (*policyv1.CheckInputResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-time.After(e.sleep):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	out := &policyv1.CheckInputResponse{Verdict: policyv1.Verdict_VERDICT_ALLOW}
	for _, in := range r.GetInputs() {
		text := in.GetText()
		for _, m := range in.GetMessages() {
			text += m.GetContent()
			if strings.Contains(m.GetContent(), "Alice") {
				out.Verdict = policyv1.Verdict_VERDICT_REDACT
				m.Content = strings.ReplaceAll(m.GetContent(), "Alice", "somebody")
			}
		}
		e.inputs = append(e.inputs, text)
		if strings.Contains(text, "forbidden") {
			return &policyv1.CheckInputResponse{Verdict: policyv1.Verdict_VERDICT_REFUSE, Reason: "not this"}, nil
		}
		out.Inputs = append(out.Inputs, in)
	}
	return out, nil
}

func (e *examplePolicy) CheckOutput(_ context.Context, r *policyv1.CheckOutputRequest) (*policyv1.CheckOutputResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.windows = append(e.windows, r)
	held := r.GetHeld()
	switch {
	case e.refuse != "" && strings.Contains(held, e.refuse):
		return &policyv1.CheckOutputResponse{Verdict: policyv1.Verdict_VERDICT_REFUSE}, nil
	case !r.GetFinal() && partial.MatchString(held):
		return &policyv1.CheckOutputResponse{Verdict: policyv1.Verdict_VERDICT_ALLOW, Keep: int32(len(partial.FindString(held)))}, nil
	case e.refuse == "" && number.MatchString(held):
		return &policyv1.CheckOutputResponse{Verdict: policyv1.Verdict_VERDICT_REDACT, Replacement: number.ReplaceAllString(held, "[number]")}, nil
	}
	return &policyv1.CheckOutputResponse{Verdict: policyv1.Verdict_VERDICT_ALLOW}, nil
}

// startPolicy serves a policy (nil: one that refuses nothing) and returns where.
func startPolicy(t *testing.T, e *examplePolicy) (addr string) {
	t.Helper()
	if e == nil {
		e = &examplePolicy{refuse: "\x00"}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	policyv1.RegisterPolicyServiceServer(s, e)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// TestPolicy: an operator's policy refuses and redacts prompts, redacts and ends
// answers while they stream, and requests are refused while it does not answer.
func TestPolicy(t *testing.T) {
	e := &examplePolicy{}
	p := up(t, "--workers", "1", "--policy", startPolicy(t, e), "--policy-timeout", "500ms", "--policy-window", "4")
	ask := func(content string) (int, string) {
		body, _ := json.Marshal(map[string]any{"messages": []map[string]string{{"role": "user", "content": content}}, "temperature": 0, "max_tokens": 40})
		res, text := call(t, "POST", p.http+"/v1/chat/completions", "", string(body))
		return res.StatusCode, text
	}
	if status, text := ask("something forbidden"); status != 403 || !strings.Contains(text, "content_policy_violation") || !strings.Contains(text, "not this") {
		t.Errorf("a forbidden prompt: %d %s", status, text)
	}
	question := "12+30은 얼마인가요?"
	status, text := ask(question)
	if status != 200 || number.MatchString(regexp.MustCompile(`"content":"[^"]*"`).FindString(text)) || !strings.Contains(text, "[number]") {
		t.Errorf("an answer with numbers: %d %s", status, text)
	}
	if status, _ := ask("Alice: " + question); status != 200 {
		t.Errorf("a redacted prompt: %d", status)
	}

	// While it streams: numbers that windows cut are whole to the policy, and the
	// tokens of redacted text are not told.
	c, err := client.Dial(p.grpc)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stream := func() (text string, finish sullaev1.FinishReason) {
		s, err := c.Chat(t.Context(), &sullaev1.ChatRequest{Messages: []*sullaev1.Message{{Role: "user", Content: question}}, Sampling: &sullaev1.Sampling{Temperature: new(float32)}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for d, err := range s.All() {
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(d.GetText(), "[number]") && len(d.GetTokenIds()) > 0 {
				t.Error("the tokens of redacted text are told")
			}
			text += d.GetText()
			finish = d.GetFinish().GetReason()
		}
		return text, finish
	}
	if text, finish := stream(); number.MatchString(text) || strings.Contains(text, "[number][number]") || finish != sullaev1.FinishReason_FINISH_REASON_STOP {
		t.Errorf("streamed: %q, %v", text, finish)
	}
	e.mu.Lock()
	e.refuse = "더하기"
	windows := e.windows
	e.mu.Unlock()
	if len(windows) < 4 || !windows[len(windows)-1].GetFinal() || windows[len(windows)-1].GetReleased() == "" {
		t.Errorf("the policy saw %v", windows)
	}
	if text, finish := stream(); strings.Contains(text, "더하기") || finish != sullaev1.FinishReason_FINISH_REASON_CONTENT_FILTER {
		t.Errorf("an answer that is ended: %q, %v", text, finish)
	}
	e.mu.Lock()
	e.sleep = time.Second
	e.mu.Unlock()
	if status, text := ask(question); status != 503 || !strings.Contains(text, "the policy service does not answer") {
		t.Errorf("without an answer in time: %d %s", status, text)
	}
}
