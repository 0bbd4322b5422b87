package ops

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestServer(t *testing.T) {
	ready := errors.New("loading 3 of 9")
	s, err := Listen(Config{Addr: "127.0.0.1:0", Metrics: NewRegistry("worker", "1.2.3"), Logger: slog.New(slog.DiscardHandler),
		Ready: func() error { return ready }, Debug: map[string]func() any{"rank": func() any { return map[string]int{"rank": 2} }}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	for _, c := range []struct {
		path, want string
		status     int
	}{
		{"/livez", `"ok"`, 200}, {"/startupz", `"ok"`, 200}, {"/readyz", "loading 3 of 9", 503},
		{"/metrics", `component="worker"`, 200}, {"/debug/rank", `"rank": 2`, 200}, {"/debug/", "pprof/", 200},
		{"/debug/pprof/goroutine?debug=1", "goroutine profile", 200}, {"/other", "not found", 404},
	} {
		res, err := http.Get("http://" + s.Addr().String() + c.path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("%s: %d %s, want %d %q", c.path, res.StatusCode, body, c.status, c.want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := Listen(Config{Addr: "256.0.0.1:1"}); err == nil || !strings.Contains(err.Error(), "--ops 256.0.0.1:1") {
		t.Error(err)
	}
}

// TestDebugIsThisHosts: neither another host nor a page under another name.
func TestDebugIsThisHosts(t *testing.T) {
	h := thisHost(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, c := range []struct {
		remote, host string
		status       int
	}{
		{"127.0.0.1:5", "127.0.0.1:9091", 200}, {"[::1]:5", "localhost:9091", 200}, {"127.0.0.1:5", "[::1]", 200},
		{"10.0.0.7:5", "127.0.0.1:9091", 403}, {"127.0.0.1:5", "rebound.example:9091", 403},
	} {
		r := httptest.NewRequest("GET", "/debug/", nil)
		r.RemoteAddr, r.Host = c.remote, c.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
}

func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := make(chan struct{}, 1) // a lock
		live := Stuck(10*time.Second, func() { work <- struct{}{}; <-work })
		check := func(want bool) {
			t.Helper()
			if err := live(); (err == nil) != want {
				t.Error(err)
			}
			synctest.Wait()
		}
		check(true)
		work <- struct{}{}
		check(true)
		time.Sleep(9 * time.Second)
		check(true)
		time.Sleep(2 * time.Second)
		check(false)
		<-work
		synctest.Wait()
		check(true)
	})
}
