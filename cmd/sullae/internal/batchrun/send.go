package batchrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/sullae/sullae/coordinator/batch/batchfile"
	"github.com/sullae/sullae/coordinator/batch/runner"
)

// maxReplyBytes bounds an answer.
const maxReplyBytes = 128 << 20

// sender sends requests to a server.
type sender struct {
	base    *url.URL
	key     string
	timeout time.Duration
	// priority is that of requests that name none; 0: they are sent as they are.
	priority int
	client   *http.Client
}

func (s *sender) send(ctx context.Context, r batchfile.Request) (runner.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	// A line's url is one of a few known paths.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base.JoinPath(r.URL).String(), bytes.NewReader(r.At(s.priority)))
	if err != nil {
		return runner.Reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if s.key != "" {
		req.Header.Set("Authorization", "Bearer "+s.key)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return runner.Reply{}, s.explain(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReplyBytes+1))
	if err != nil {
		return runner.Reply{}, s.explain(ctx, err)
	}
	if len(body) > maxReplyBytes {
		return runner.Reply{}, fmt.Errorf("the answer is larger than %d bytes", maxReplyBytes)
	}
	return runner.Reply{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// explain marks what a request is not to be blamed for: nobody was there.
func (s *sender) explain(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", s.timeout)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("%w at %s: %w", runner.ErrUnreachable, s.base, op.Err)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err
}
