package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/sullae/sullae/cmd/sullae/internal/remote"
)

// maxAnswer bounds what a coordinator is listened to.
const maxAnswer = 16 << 20

// httpBase completes a flag's address, as "up" and "coordinator" take it, to the
// URL that paths are appended to.
func httpBase(flag, addr string) (*url.URL, error) {
	full := addr
	if !strings.Contains(full, "://") {
		if strings.HasPrefix(full, ":") {
			full = "127.0.0.1" + full
		}
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s %s: this is no HTTP address, such as http://127.0.0.1:8080", flag, addr)
	}
	// Clients of OpenAI are given a URL that ends so; the paths here have it already.
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v1")
	return u, nil
}

// ask sends a request without a body to a coordinator, and returns the body of the
// answer, whose status must be want. Its errors say what to do.
func ask(ctx context.Context, client *http.Client, method, target string, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreached((&url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host}).String(), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", target, err)
	case resp.StatusCode == want:
		return body, nil
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, fmt.Errorf("%s wants an API key: give one with --api-key, or as SULLAE_API_KEY", target)
	}
	var ours struct {
		Error struct{ Message string }
	}
	if json.Unmarshal(body, &ours) == nil && ours.Error.Message != "" {
		return nil, fmt.Errorf("%s: %s", resp.Status, ours.Error.Message)
	}
	return nil, fmt.Errorf("%s: %s: give a coordinator's HTTP address with --http", target, resp.Status)
}

// unreached says why there was no answer: nobody is there, or not for HTTP.
func unreached(target string, err error) error {
	if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no coordinator is reached at %s (%w): start one with \"sullae up\", or give the HTTP address of one with --http", target, remote.Reason(err))
	}
	if bad := (*tls.CertificateVerificationError)(nil); errors.As(err, &bad) {
		return fmt.Errorf("%s shows a certificate that is not trusted here (%w): give the CA that signed it with --ca, and the name that it carries in --http", target, bad.Err)
	}
	// Something accepts connections there. A gRPC port speaks first, which comes
	// out as one of several errors, by who is quicker.
	return fmt.Errorf("%s answered, but not as HTTP: give a coordinator's HTTP address with --http (%w)", target, err)
}
