package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sullae/sullae/coordinator/batch/batchfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func requests(n int) func() (batchfile.Request, error) {
	i := 0
	return func() (batchfile.Request, error) {
		if i == n {
			return batchfile.Request{}, io.EOF
		}
		i++
		return batchfile.Request{Line: i, CustomID: fmt.Sprint(i)}, nil
	}
}

// server answers after a second, and refuses beyond its capacity.
type server struct {
	capacity int
	reply    func(req batchfile.Request, attempt int) (Reply, error) // nil: 200

	mu                     sync.Mutex
	running, peak, refused int
	attempts               map[string]int
}

func (s *server) do(ctx context.Context, req batchfile.Request) (Reply, error) {
	s.mu.Lock()
	if s.attempts == nil {
		s.attempts = map[string]int{}
	}
	s.attempts[req.CustomID]++
	attempt := s.attempts[req.CustomID]
	if s.capacity > 0 && s.running >= s.capacity {
		s.refused++
		s.mu.Unlock()
		return Reply{Status: 429, Header: http.Header{"Retry-After": {"2"}}}, nil
	}
	s.running++
	s.peak = max(s.peak, s.running)
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.running--; s.mu.Unlock() }()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return Reply{}, ctx.Err()
	}
	if s.reply != nil {
		return s.reply(req, attempt)
	}
	return Reply{Status: 200, Header: http.Header{"X-Request-Id": {"r" + req.CustomID}}, Body: []byte(`{}`)}, nil
}

// log collects answers, each of which must come once.
type log struct {
	t   *testing.T
	got map[string]batchfile.Answer
}

func (l *log) write(all []batchfile.Answer) error {
	time.Sleep(time.Millisecond) // as a disk would
	for _, a := range all {
		if _, twice := l.got[a.CustomID]; twice {
			l.t.Errorf("%s is answered twice", a.CustomID)
		}
		l.got[a.CustomID] = a
	}
	return nil
}

func TestRunSaturatesWithoutBeingRefusedMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := &server{capacity: 40}, &log{t, map[string]batchfile.Answer{}}
		r := &Runner{Do: s.do, Write: l.write, Limit: NewLimit(128), Attempts: 3, Patience: time.Minute}
		begun := time.Now()
		if err := r.Run(t.Context(), requests(2000)); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begun)
		if len(l.got) != 2000 || l.got["7"].Response.RequestID != "r7" {
			t.Errorf("%d answers", len(l.got))
		}
		// At best 40 each second, so 50 s.
		if took > 100*time.Second || s.peak != 40 || s.refused > 400 {
			t.Errorf("took %v, peak %d, refused %d", took, s.peak, s.refused)
		}
		if r.Limit.Running() != 0 {
			t.Errorf("%d still count", r.Limit.Running())
		}
	})
}

func TestAnswersThatStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := &server{}, &log{t, map[string]batchfile.Answer{}}
		s.reply = func(req batchfile.Request, attempt int) (Reply, error) {
			switch req.CustomID {
			case "1":
				return Reply{Status: 400, Body: []byte("no json")}, nil
			case "2":
				return Reply{Status: 500, Body: []byte(`{"error":{}}`)}, nil
			case "3":
				if attempt < 3 {
					return Reply{Status: 502}, nil
				}
			case "4":
				return Reply{}, errors.New("broken")
			case "5":
				if attempt < 20 {
					return Reply{}, fmt.Errorf("dial: %w", ErrUnreachable)
				}
			}
			return Reply{Status: 200, Body: []byte(`{}`)}, nil
		}
		retries := 0
		r := &Runner{Do: s.do, Write: l.write, Limit: NewLimit(4), Attempts: 3, OnRetry: func(batchfile.Request, error, time.Duration) { s.mu.Lock(); retries++; s.mu.Unlock() }}
		if err := r.Run(t.Context(), requests(6)); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]string{"1": `1 400 "no json"`, "2": `3 500 {"error":{}}`, "3": "3 200 {}", "4": "3 no_answer no answer after 3 attempts: broken", "5": "20 200 {}", "6": "1 200 {}"} {
			a := l.got[id]
			got := fmt.Sprint(s.attempts[id], " ")
			if a.Error != nil {
				got += a.Error.Code + " " + a.Error.Message
			} else if a.Response != nil {
				got += fmt.Sprint(a.Response.StatusCode, " ", string(a.Response.Body))
			}
			if got != want {
				t.Errorf("%s: %q, want %q", id, got, want)
			}
		}
		if retries != 2+2+2+19 {
			t.Errorf("%d retries", retries)
		}
	})
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := &server{}, &log{t, map[string]batchfile.Answer{}}
		s.reply = func(batchfile.Request, int) (Reply, error) {
			return Reply{}, fmt.Errorf("connection refused: %w", ErrUnreachable)
		}
		r := &Runner{Do: s.do, Write: l.write, Limit: NewLimit(4), Attempts: 1, Patience: 5 * time.Minute}
		begun := time.Now()
		err := r.Run(t.Context(), requests(100))
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "nothing was answered for 5m0s") || len(l.got) != 0 {
			t.Errorf("got %v, %d answers", err, len(l.got))
		}
		if took := time.Since(begun); took < 5*time.Minute || took > 6*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

func TestRunEndsWithItsContextAndItsDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := &server{}, &log{t, map[string]batchfile.Answer{}}
		ctx, cancel := context.WithCancelCause(t.Context())
		over := errors.New("over")
		time.AfterFunc(5*time.Second+time.Millisecond, func() { cancel(over) })
		r := &Runner{Do: s.do, Write: l.write, Limit: NewLimit(4)}
		if err := r.Run(ctx, requests(100)); err != over || len(l.got) != 20 {
			t.Errorf("got %v, %d answers", err, len(l.got))
		}
		full := errors.New("disk full")
		r.Write = func([]batchfile.Answer) error { return full }
		if err := r.Run(t.Context(), requests(100)); err != full {
			t.Errorf("got %v", err)
		}
		bad := errors.New("bad input")
		r.Write = l.write
		if err := r.Run(t.Context(), func() (batchfile.Request, error) { return batchfile.Request{}, bad }); err != bad {
			t.Errorf("got %v", err)
		}
	})
}

func TestCeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := &server{}, &log{t, map[string]batchfile.Answer{}}
		begun := time.Now()
		limit := NewLimit(16)
		limit.Ceiling = func() int { // busy from the 10th to the 30th second
			if d := time.Since(begun); d > 10*time.Second && d < 30*time.Second {
				return 1
			}
			return 16
		}
		at := map[int]int{}
		do := func(ctx context.Context, req batchfile.Request) (Reply, error) {
			s.mu.Lock()
			at[int(time.Since(begun).Seconds())]++
			s.mu.Unlock()
			return s.do(ctx, req)
		}
		r := &Runner{Do: do, Write: l.write, Limit: limit}
		if err := r.Run(t.Context(), requests(500)); err != nil || len(l.got) != 500 {
			t.Fatalf("%v, %d answers", err, len(l.got))
		}
		for sec := 12; sec < 29; sec++ {
			if at[sec] > 2 {
				t.Errorf("%d began in second %d", at[sec], sec)
			}
		}
		if at[33] < 10 {
			t.Errorf("%d began in second 33", at[33])
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for v, want := range map[string]time.Duration{"": 0, "3": 3 * time.Second, "0.5": 500 * time.Millisecond, "-1": 0, "x": 0, "1e9": maxRetryAfter,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0} {
		if got := retryAfter(http.Header{"Retry-After": {v}}, now); got != want {
			t.Errorf("%q: %v, want %v", v, got, want)
		}
	}
}
