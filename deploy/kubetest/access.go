//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/sullae/sullae/coordinator/status"
	"github.com/sullae/sullae/proto/client"
)

// access is how a release's APIs are reached.
type access struct {
	url, grpc string      // where its Service is
	tls       *tls.Config // nil: plain text
	key       string      // "": none
	client    *http.Client
}

// access finds the release's Service.
func (r release) access(ctx context.Context, config *tls.Config, key string) (access, error) {
	ip, err := r.kubectl(ctx, "get", "service", r.fullname(), "-o", "jsonpath={.spec.clusterIP}")
	a := access{url: "http://" + ip + ":8080", grpc: ip + ":9090", tls: config, key: key, client: &http.Client{Transport: &http.Transport{TLSClientConfig: config}}}
	if config != nil {
		a.url = "https://" + ip + ":8080"
	}
	return a, err
}

// dial makes a gRPC client.
func (a access) dial() (*client.Client, error) {
	var options []client.Option
	if a.tls != nil {
		options = append(options, client.WithTLS(a.tls), client.WithGRPC(grpc.WithAuthority(a.tls.ServerName)))
	}
	if a.key != "" {
		options = append(options, client.WithAPIKey(a.key))
	}
	return client.Dial(a.grpc, options...)
}

// send sends a request over HTTP; headers are "Name: value".
func (a access) send(ctx context.Context, method, path string, body any, headers ...string) (*http.Response, error) {
	var raw []byte
	if body != nil {
		raw, _ = json.Marshal(body) // of a map made here
	}
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if a.key != "" {
		req.Header.Set("Authorization", "Bearer "+a.key)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return a.client.Do(req)
}

// ask sends a request and reads the answer.
func (a access) ask(ctx context.Context, method, path string, body any, headers ...string) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	res, err := a.send(ctx, method, path, body, headers...)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, string(raw), err
}

// status is what the leader says.
func (a access) status(ctx context.Context) (s status.Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, 12*time.Second)
	defer cancel()
	res, err := a.send(ctx, "GET", "/cluster/status", nil)
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	return s, json.NewDecoder(res.Body).Decode(&s)
}

// ranks waits until the group serves with n ranks.
func (a access) ranks(ctx context.Context, n int) error {
	return await(ctx, 2*time.Minute, fmt.Sprintf("a group of %d", n), func() error {
		s, err := a.status(ctx)
		if err != nil {
			return err
		}
		if s.Group.Phase != "serving" || s.Group.WorldSize != n {
			return fmt.Errorf("%s with %d ranks: %s", s.Group.Phase, s.Group.WorldSize, s.Group.Reason)
		}
		return nil
	})
}
