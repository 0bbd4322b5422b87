//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sullae/sullae/ops/tracing/tracetest"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// refusesStrangers asks without what one needs to show.
func (i *installation) refusesStrangers(ctx context.Context) error {
	bare := i.load.tls.Clone()
	bare.Certificates = nil
	a, err := i.access(ctx, bare, i.load.key)
	if err != nil {
		return err
	}
	if code, _, err := a.ask(ctx, "GET", "/livez", nil); err == nil || !strings.Contains(err.Error(), "certificate required") {
		return fmt.Errorf("without a certificate: %d, %v", code, err)
	}
	if err := generate(ctx, a); status.Code(err) != codes.Unavailable {
		return fmt.Errorf("gRPC without a certificate: %v", err)
	}
	if a, err = i.access(ctx, i.load.tls, ""); err != nil {
		return err
	}
	for path, want := range map[string]int{"/livez": http.StatusOK, "/v1/models": http.StatusUnauthorized, "/metrics": http.StatusUnauthorized} {
		if code, _, err := a.ask(ctx, "GET", path, nil); err != nil || code != want {
			return fmt.Errorf("%s without a key: %d, want %d: %v", path, code, want, err)
		}
	}
	if err := generate(ctx, a); status.Code(err) != codes.Unauthenticated {
		return fmt.Errorf("gRPC without a key: %v", err)
	}
	// A worker may reach what the values name on the node, and nothing else there.
	for port, want := range map[int]bool{ownEtcd: true, otlpHTTP: true, 6443: false} {
		if got, err := i.dial(ctx, "secured-sullae-cpu-0", nodeIP, port); err != nil || got != want {
			return fmt.Errorf("a worker reaches the node's port %d: %v, want %v: %v", port, got, want, err)
		}
	}
	return nil
}

// generate asks for one token by gRPC.
func generate(ctx context.Context, a access) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	one := int32(1)
	s, err := c.Generate(ctx, &sullaev1.GenerateRequest{Prompt: &sullaev1.GenerateRequest_TokenIds{TokenIds: &sullaev1.TokenIds{Ids: []int32{5}}}, Stopping: &sullaev1.Stopping{MaxTokens: &one}})
	if err != nil {
		return err
	}
	defer s.Close()
	for _, err := range s.All() {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkEtcd looks at the etcd that the release uses, as its user and as others.
func (i *installation) checkEtcd(ctx context.Context) error {
	config, err := i.etcd.config(etcdName)
	if err != nil {
		return err
	}
	if n, err := etcdKeys(ctx, config, etcdUser, etcdPassword); err != nil || n == 0 {
		return fmt.Errorf("the release's user sees %d keys: %w", n, err)
	}
	for what, as := range map[string]struct {
		config         *tls.Config
		user, password string
	}{
		"with another password": {config, etcdUser, "wrong"},
		"without a password":    {config, "", ""},
		"without a certificate": {&tls.Config{RootCAs: config.RootCAs, ServerName: etcdName}, etcdUser, etcdPassword},
	} {
		if n, err := etcdKeys(ctx, as.config, as.user, as.password); err == nil {
			return fmt.Errorf("%s one sees %d keys", what, n)
		}
	}
	return nil
}

// checkPolicy asks what the policy refuses, and what it redacts for one caller.
func (i *installation) checkPolicy(ctx context.Context) error {
	ask := func(a access, content string) (int, string, error) {
		return a.ask(ctx, "POST", "/v1/chat/completions", map[string]any{"messages": []map[string]string{{"role": "user", "content": content}}, "temperature": 0})
	}
	if code, text, err := ask(i.load, "something "+forbidden); code != http.StatusForbidden || !strings.Contains(text, "not this") {
		return fmt.Errorf("a prompt to be refused: %d %s: %v", code, text, err)
	}
	const question = "대한민국의 수도는 어디인가요?"
	for _, of := range []struct {
		caller      access
		has, hasNot string
	}{{i.load, capital, noCapital}, {i.guest, noCapital, capital}} {
		code, text, err := ask(of.caller, question)
		if code != http.StatusOK || !strings.Contains(text, of.has) || strings.Contains(text, of.hasNot) {
			return fmt.Errorf("an answer with %q instead of %q: %d %s: %v", of.has, of.hasNot, code, text, err)
		}
	}
	return nil
}

// answers checks that two ranks answer with the same tokens as ever, where they
// have their weights from, and that a request is a trace.
func (i *installation) answers(ctx context.Context, source string) error {
	if err := i.load.ranks(ctx, 2); err != nil {
		return err
	}
	l := &load{access: i.load}
	c, err := l.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	for stream, ask := range []func() ([]int32, error){func() ([]int32, error) { return l.askGRPC(ctx, c, 0) }, func() ([]int32, error) { return l.askHTTP(ctx, 1) }} {
		ids, err := ask()
		if err != nil {
			return err
		}
		if want := &i.c.want[stream]; *want == nil { // only this part of the test runs
			*want = ids
		} else if !slices.Equal(ids, *want) {
			return fmt.Errorf("stream %d has other tokens than from the built-in model", stream)
		}
	}
	if err := i.weightsFrom(ctx, source); err != nil {
		return err
	}
	return i.traced(ctx)
}

// weightsFrom checks where the workers have their weights from: "folder" or
// "coordinator", and not the other.
func (i *installation) weightsFrom(ctx context.Context, source string) error {
	from := map[string]float64{}
	for _, s := range []string{"folder", "coordinator"} {
		n, err := i.sum(ctx, "worker", fmt.Sprintf("sullae_weights_loaded_bytes_total{source=%q}", s))
		if err != nil {
			return err
		}
		if n > 0 {
			from[s] = n
		}
	}
	if len(from) != 1 || from[source] == 0 {
		return fmt.Errorf("workers have their weights from %v, not from the %s", from, source)
	}
	return nil
}

// sum adds up a metric of a component's pods.
func (r release) sum(ctx context.Context, component, metric string) (total float64, err error) {
	ips, err := r.kubectl(ctx, "get", "pods", "-l", "app.kubernetes.io/component="+component, "-o", "jsonpath={.items[*].status.podIP}")
	if err != nil {
		return 0, err
	}
	for _, ip := range strings.Fields(ips) {
		_, text, err := (access{url: "http://" + ip + ":9091", client: http.DefaultClient}).ask(ctx, "GET", "/metrics", nil)
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if n, err := strconv.ParseFloat(value, 64); err == nil && (name == metric || strings.HasPrefix(name, metric+"{")) {
				total += n
			}
		}
	}
	return total, nil
}

// traced has one request recorded, and waits for its trace to be whole.
func (i *installation) traced(ctx context.Context) error {
	i.traces++
	trace := fmt.Sprintf("%032x", i.traces)
	code, text, err := i.load.ask(ctx, "POST", "/v1/completions", map[string]any{"prompt": "1+2=", "max_tokens": 3, "ignore_eos": true}, "traceparent: "+tracetest.Traceparent(trace, true))
	if err != nil || code != http.StatusOK {
		return fmt.Errorf("a request to be traced: %d %s: %w", code, text, err)
	}
	return await(ctx, 20*time.Second, "a whole trace", func() error { return tracetest.Request(i.sink.Spans(trace), "POST /v1/completions", 2, 3) })
}
