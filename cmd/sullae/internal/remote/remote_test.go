package remote

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/sullae/sullae/cmd/sullae/internal/fakecluster"
	"github.com/sullae/sullae/proto/client"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

func TestDialErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	for addr, want := range map[string]string{
		"localhost":             "not HOST:PORT",
		"localhost:":            "not HOST:PORT",
		"http://127.0.0.1:9090": "not HOST:PORT",
		closed:                  `connection refused): start one with "sullae up", or give the gRPC address of one with --grpc`,
	} {
		if _, err := Dial(t.Context(), addr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", addr, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, closed); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

func TestModel(t *testing.T) {
	a, b := fakecluster.Text("a", 10), fakecluster.Text("b", 20)
	for _, c := range []struct {
		name   string
		served []*sullaev1.Model
		want   string // a model, or an error
	}{
		{"", []*sullaev1.Model{a}, "a"},
		{"b", []*sullaev1.Model{a, b}, "b"},
		{"", []*sullaev1.Model{a, b}, "choose one with --model: a, b"},
		{"c", []*sullaev1.Model{a, b}, "--model c: not served"},
		{"", nil, "serves no model yet"},
	} {
		fake := &fakecluster.Cluster{Models: c.served}
		cluster, err := Dial(t.Context(), fake.Start(t))
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		m, err := cluster.Model(t.Context(), c.name)
		if m.GetId() != c.want && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q of %v: %v, %v; want %s", c.name, c.served, m, err, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	c := &Cluster{Addr: "h:1"}
	for _, e := range []struct {
		err  client.Error
		want string
	}{
		{client.Error{Code: codes.InvalidArgument, Message: "x", Violations: []client.Violation{{Field: "sampling.top_p", Problem: "too large"}}}, "--top-p: too large"},
		{client.Error{Code: codes.InvalidArgument, Message: "x", Violations: []client.Violation{{Field: "other", Problem: "bad"}}}, "other: bad"},
		{client.Error{Code: codes.InvalidArgument, Message: "broken"}, "broken"},
		{client.Error{Code: codes.Unavailable, Message: "dial tcp h:1: connect: connection refused"}, "the connection to h:1 failed: connection refused; is it"},
		{client.Error{Code: codes.Unavailable, Message: "loading", Reason: "NOT_SERVING", RetryAfter: time.Second}, `is not serving now: loading; try again in 1s; "sullae status" tells more`},
		{client.Error{Code: codes.ResourceExhausted, Message: "full", RetryAfter: 2 * time.Second}, "is busy: full; try again in 2s"},
		{client.Error{Code: codes.FailedPrecondition, Message: "no tokenizer"}, "no tokenizer"},
		{client.Error{Code: codes.Internal, Message: "internal error", RequestID: "r1"}, "Internal: internal error (request r1)"},
	} {
		if got := c.Explain(&e.err).Error(); !strings.Contains(got, e.want) {
			t.Errorf("got %q, want %q", got, e.want)
		}
	}
	cancelled := &client.Error{Code: codes.Canceled}
	if got := c.Explain(cancelled); got != error(cancelled) {
		t.Errorf("Canceled becomes %v", got)
	}
}
