package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// record is one request, as its client saw it.
type record struct {
	due  time.Time // when it should have begun: waits of our own count, too
	end  time.Time
	fail string // "": it succeeded; else an HTTP status or a kind of failure
	timing
}

// path is the endpoint's.
func (c *Config) path() string {
	if c.Chat {
		return "/v1/chat/completions"
	}
	return "/v1/completions"
}

// body is the request with this number: the same for the same seed, different
// from all others, so that no cache of prefixes helps.
func (c *Config) body(t *target, number uint64) ([]byte, error) {
	rng := rand.New(rand.NewPCG(c.Seed, number))
	fields := map[string]any{
		"model": t.model, "max_tokens": c.OutputLen, "temperature": 0, "stream": true,
		"stream_options": map[string]bool{"include_usage": true},
	}
	switch {
	case c.Chat:
		fields["messages"] = []map[string]string{{"role": "user", "content": words(rng, c.InputLen)}}
	case t.ids != nil:
		ids := make([]int32, c.InputLen)
		for i := range ids {
			ids[i] = t.ids[rng.IntN(len(t.ids))]
		}
		fields["prompt"] = ids
	default:
		fields["prompt"] = words(rng, c.InputLen)
	}
	if t.extended {
		// Every answer is to have its full length, and each token its event.
		fields["ignore_eos"], fields["return_token_ids"] = true, true
	}
	for k, v := range maps.All(c.Extra) {
		fields[k] = v
	}
	return json.Marshal(fields)
}

// ask sends a request and reads its stream to the end.
func (c *Config) ask(ctx context.Context, t *target, number uint64, due time.Time) record {
	rec := record{due: due}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var err error
	rec.timing, err = c.stream(ctx, t, number)
	rec.end = time.Now()
	if err == nil && rec.tokens == 0 {
		err = errors.New("no tokens")
	}
	rec.fail = kindOf(ctx, err)
	return rec
}

func (c *Config) stream(ctx context.Context, t *target, number uint64) (timing, error) {
	body, err := c.body(t, number)
	if err != nil {
		return timing{}, err
	}
	resp, err := c.do(ctx, http.MethodPost, c.path(), body)
	if err != nil {
		return timing{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return timing{}, refusal(resp)
	}
	return readStream(resp.Body, time.Now)
}

func (c *Config) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.Key)
	}
	resp, err := c.Client.Do(req)
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // who was asked is said where it matters
	}
	return resp, err
}

// statusError is an answer that is no 200.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.status, http.StatusText(e.status), e.message)
}

func refusal(resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return &statusError{resp.StatusCode, strings.TrimSpace(string(b))}
}

// kindOf names a failure, for counting.
func kindOf(ctx context.Context, err error) string {
	if err == nil {
		return ""
	}
	if s, ok := errors.AsType[*statusError](err); ok {
		return strconv.Itoa(s.status)
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "timeout"
	case ctx.Err() != nil:
		return "cancelled"
	case errors.Is(err, errTruncated):
		return "truncated"
	case errors.Is(err, errInStream):
		return "error in the stream"
	case err.Error() == "no tokens":
		return "no tokens"
	}
	return "connection"
}
