package runner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/sullae/sullae/coordinator/batch/batchfile"
)

const (
	firstPause = 200 * time.Millisecond
	longPause  = 10 * time.Second
	// maxRetryAfter bounds what a server's Retry-After may ask for.
	maxRetryAfter = 10 * time.Minute
)

// Reply is an endpoint's answer to one attempt.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// ErrUnreachable marks the errors of attempts that never reached a server: they
// are repeated for as long as Patience lasts, and no request is blamed for them.
var ErrUnreachable = errors.New("the server is not reached")

// answer asks until there is an answer that will not change: any but a refusal
// for now, an outage, or the first failures of the server. An error ends the run.
//
// It counts against the limit only while an attempt is under way: those that
// were refused come back as slowly as the lowered limit lets them.
func (r *Runner) answer(ctx context.Context, req batchfile.Request) (batchfile.Answer, error) {
	begun := time.Now()
	for attempt, outages := 1, 0; ; {
		ticket, err := r.Limit.acquire(ctx)
		if err != nil {
			return batchfile.Answer{}, err
		}
		rep, err := r.Do(ctx, req)
		refused := err == nil && (rep.Status == http.StatusTooManyRequests || rep.Status == http.StatusServiceUnavailable)
		r.Limit.release(err == nil && !refused)
		if ctx.Err() != nil {
			return batchfile.Answer{}, ctx.Err()
		}
		var wait time.Duration
		switch {
		case refused:
			outages++
			wait = backoff(outages)
			if after := retryAfter(rep.Header, time.Now()); after > 0 {
				wait = after + rand.N(after/8+1)
			}
			r.Limit.refused(ticket, wait)
			err = fmt.Errorf("it answers %d %s", rep.Status, http.StatusText(rep.Status))
			if r.tired(begun) {
				return batchfile.Answer{}, fmt.Errorf("nothing was answered for %v: %w", r.Patience, err)
			}
		case errors.Is(err, ErrUnreachable):
			outages++
			wait = backoff(outages)
			if r.tired(begun) {
				return batchfile.Answer{}, fmt.Errorf("nothing was answered for %v: %w", r.Patience, err)
			}
		case err != nil && attempt >= r.Attempts:
			return batchfile.Failed(req.CustomID, "no_answer", fmt.Sprintf("no answer after %d attempts: %v", attempt, err)), nil
		case err != nil, failing(rep.Status) && attempt < r.Attempts:
			wait = backoff(attempt)
			attempt++
		default:
			r.heard.Store(time.Now().UnixNano())
			return batchfile.Responded(req.CustomID, rep.Status, rep.Header.Get("X-Request-Id"), rep.Body), nil
		}
		if r.OnRetry != nil {
			if err == nil {
				err = fmt.Errorf("it answers %d %s", rep.Status, http.StatusText(rep.Status))
			}
			r.OnRetry(req, err, wait)
		}
		if err := pause(ctx, wait, nil); err != nil {
			return batchfile.Answer{}, err
		}
	}
}

// failing are the statuses of a server, or of one before it, that may be better
// next time.
func failing(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// tired reports whether patience is at its end: nobody has been answered for so
// long, this request has been waiting as long.
func (r *Runner) tired(begun time.Time) bool {
	last := time.Unix(0, r.heard.Load())
	if begun.After(last) {
		last = begun
	}
	return r.Patience > 0 && time.Since(last) > r.Patience
}

// backoff is the pause after n failures: it doubles, with a random half.
func backoff(n int) time.Duration {
	d := min(longPause, firstPause<<min(n-1, 10))
	return d/2 + rand.N(d/2)
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	var d time.Duration
	if s, err := strconv.ParseFloat(v, 64); err == nil && s > 0 {
		d = time.Duration(min(s, maxRetryAfter.Seconds()) * float64(time.Second))
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
