package policy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/sullae/sullae/coordinator/gateway"
	policyv1 "github.com/sullae/sullae/proto/sullae/policy/v1"
)

// fake answers with what it is told.
type fake struct {
	policyv1.UnimplementedPolicyServiceServer
	in   *policyv1.CheckInputResponse
	out  *policyv1.CheckOutputResponse
	hang bool
}

func (f *fake) CheckInput(ctx context.Context, _ *policyv1.CheckInputRequest) (*policyv1.CheckInputResponse, error) {
	if f.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return f.in, nil
}

func (f *fake) CheckOutput(context.Context, *policyv1.CheckOutputRequest) (*policyv1.CheckOutputResponse, error) {
	return f.out, nil
}

func dial(t *testing.T, f *fake, allow bool) *Client {
	t.Helper()
	l := bufconn.Listen(1 << 16)
	s := grpc.NewServer()
	policyv1.RegisterPolicyServiceServer(s, f)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	c, err := Dial(Config{Addr: "passthrough:///policy", Timeout: 100 * time.Millisecond, AllowWhenAway: allow}, slog.New(slog.DiscardHandler), prometheus.NewRegistry(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestAway: without an answer in time, or with one that is none, requests are
// refused or pass as configured; a request that ends by itself is no failure of
// the service's.
func TestAway(t *testing.T) {
	prompts := []gateway.Prompt{gateway.Text("x")}
	for _, f := range []*fake{{hang: true}, {in: &policyv1.CheckInputResponse{}}} {
		c := dial(t, f, false)
		if _, err := c.CheckInput(t.Context(), gateway.PolicySubject{}, prompts); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("refuse: %v", err)
		}
		if n := testutil.ToFloat64(c.checks.WithLabelValues("input", "away")); n != 1 {
			t.Errorf("%v counted as away", n)
		}
		if got, err := dial(t, f, true).CheckInput(t.Context(), gateway.PolicySubject{}, prompts); err != nil || len(got) != 1 {
			t.Errorf("allow: %v, %v", got, err)
		}
	}
	c := dial(t, &fake{hang: true}, true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.CheckInput(ctx, gateway.PolicySubject{}, prompts); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestInput: refusals carry their reason; a redaction that does not fit is an
// error, and not what it was to hide.
func TestInput(t *testing.T) {
	chat := gateway.Chat{Messages: []gateway.Message{{Role: "user", Content: "secret", Name: "n"}}}
	prompts := []gateway.Prompt{gateway.Text("secret"), chat}
	redacted := &policyv1.CheckInputResponse{Verdict: policyv1.Verdict_VERDICT_REDACT, Inputs: []*policyv1.Input{{Text: "-"}, {Messages: []*policyv1.Message{{Content: "-"}}}}}
	got, err := dial(t, &fake{in: redacted}, false).CheckInput(t.Context(), gateway.PolicySubject{}, prompts)
	if err != nil || got[0] != gateway.Text("-") || got[1].(gateway.Chat).Messages[0].Content != "-" || got[1].(gateway.Chat).Messages[0].Name != "n" || chat.Messages[0].Content != "secret" {
		t.Errorf("%v, %v", got, err)
	}
	for _, in := range [][]*policyv1.Input{nil, {{Text: "-"}}, {{Text: "-"}, {}}} {
		bad := &policyv1.CheckInputResponse{Verdict: policyv1.Verdict_VERDICT_REDACT, Inputs: in}
		if got, err := dial(t, &fake{in: bad}, true).CheckInput(t.Context(), gateway.PolicySubject{}, prompts); err == nil {
			t.Errorf("%v is taken for %v", in, got)
		}
	}
	refused := &policyv1.CheckInputResponse{Verdict: policyv1.Verdict_VERDICT_REFUSE, Reason: "because"}
	if _, err := dial(t, &fake{in: refused}, true).CheckInput(t.Context(), gateway.PolicySubject{}, prompts); !errors.Is(err, gateway.ErrPolicy) || !strings.Contains(err.Error(), "because") {
		t.Error(err)
	}
}
