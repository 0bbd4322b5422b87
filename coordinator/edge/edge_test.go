package edge

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/metadata"

	"github.com/sullae/sullae/coordinator/gateway"
)

func write(t *testing.T, path string, f File) {
	t.Helper()
	raw, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFileErrors: each names the file and the key, and none tells a secret.
func TestFileErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	good := Hash("x")
	for text, want := range map[string]string{
		`{"keys":[{"name":"a b","sha256":"` + good + `"}]}`:                                                     "name: want",
		`{"keys":[{"name":"a","sha256":"sk-sullae-secret"}]}`:                                                   "not the key",
		`{"keys":[{"name":"a","sha256":"` + good + `"},{"name":"a","sha256":"` + Hash("y") + `"}]}`:             "twice",
		`{"keys":[{"name":"a","sha256":"` + good + `"},{"name":"b","sha256":"` + strings.ToUpper(good) + `"}]}`: `the same as key "a"`,
		`{"keys":[{"name":"a","sha256":"` + good + `","concurrent":-1}]}`:                                       "0 (none) or more",
		`{"keys":[{"name":"a","sha256":"` + good + `","rpm":5}]}`:                                               "rpm",
		`{"keys":[]} x`: "behind the object",
		``:              "EOF",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadFile(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "sk-sullae") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestLimits: what is over is refused with the time after which it is taken, and
// is taken then.
func TestLimits(t *testing.T) {
	now := time.Unix(1000, 0)
	begin := func(q *quota, tokens int, limit string, wait time.Duration) gateway.Usage {
		t.Helper()
		u, err := q.Begin(now, tokens)
		if limit == "" {
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		var qe *gateway.QuotaError
		if !errors.As(err, &qe) || qe.Limit != limit || !errors.Is(err, gateway.ErrQuota) {
			t.Fatalf("%v, want over %s", err, limit)
		}
		if got := gateway.RetryAfter(err); got.Round(time.Millisecond) != wait {
			t.Errorf("%s: wait %v, want %v", limit, got, wait)
		}
		return nil
	}
	requests := &quota{limits: Limits{RequestsPerMinute: 6}}
	for range 6 {
		begin(requests, 1, "", 0)
	}
	begin(requests, 1, "requests per minute", 10*time.Second)
	now = now.Add(10 * time.Second)
	begin(requests, 1, "", 0)

	tokens := &quota{limits: Limits{TokensPerMinute: 600}}
	u := begin(tokens, 500, "", 0)
	begin(tokens, 200, "tokens per minute", 10*time.Second)
	u.Generated(200) // a debt of 100
	begin(tokens, 1, "tokens per minute", 10100*time.Millisecond)
	now = now.Add(time.Hour) // no more than a minute's worth is saved up
	begin(tokens, 600, "", 0)
	begin(tokens, 1, "tokens per minute", 100*time.Millisecond)
	now = now.Add(time.Minute)
	begin(tokens, 5000, "", 0) // more than ever fits takes all
	begin(tokens, 1, "tokens per minute", (4401*100)*time.Millisecond)

	at := &quota{limits: Limits{Concurrent: 2}}
	a := begin(at, 1, "", 0)
	begin(at, 1, "", 0)
	begin(at, 1, "concurrent requests", time.Second)
	a.End()
	a.End()
	begin(at, 1, "", 0)
	begin(at, 1, "concurrent requests", time.Second)
}

// TestGuard: keys are found by their hash, for as long as the file has them, and
// their use is theirs however often the file is read again.
func TestGuard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	secret, other := NewSecret(), NewSecret()
	past, low := time.Now().Add(-time.Hour), 7
	f := File{Keys: []Key{
		{Name: "alice", SHA256: Hash(secret), Limits: Limits{RequestsPerMinute: 1, MinPriority: &low}},
		{Name: "old", SHA256: Hash(other), Expires: &past},
	}}
	write(t, path, f)
	g, err := NewGuard(path, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"": "send it as", "Basic " + secret: "send it as", "Bearer ": "send it as", "Bearer " + secret + "x": "not known",
		"Bearer " + other: "old expired on", "Bearer " + Hash(secret): "not known",
	} {
		if _, err := g.identify(header); !errors.Is(err, gateway.ErrUnauthenticated) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v, want %q", header, err, want)
		}
	}
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "bearer "+secret))
	ctx, err = g.Admit(ctx, "/sullae.v1.InferenceService/Generate")
	if err != nil {
		t.Fatal(err)
	}
	c := gateway.CallerOf(ctx)
	if c.Name != "alice" || *c.MinPriority != 7 || c.Via != "grpc" {
		t.Errorf("%+v", c)
	}
	if _, err := c.Quota.Begin(time.Now(), 1); err != nil {
		t.Error(err)
	}
	f.Keys = append(f.Keys, Key{Name: "bob", SHA256: Hash("b")})
	write(t, path, f)
	g.file.Get()
	if len(g.file.Last()) != 3 {
		t.Fatal("not read again")
	}
	k := g.file.Last()[sha256.Sum256([]byte(secret))]
	if _, err := g.caller(k, "http", "").Quota.Begin(time.Now(), 1); !errors.Is(err, gateway.ErrQuota) {
		t.Errorf("a file read again gave a fresh minute: %v", err)
	}
	if _, err := g.Admit(context.Background(), "/grpc.health.v1.Health/Check"); err != nil {
		t.Errorf("health: %v", err)
	}
	if _, err := g.Admit(context.Background(), "/grpc.health.v1.HealthEvil/Check"); err == nil {
		t.Error("another service is taken for health")
	}
}

// TestHTTP: what probes ask is open to GET alone, what changes the cluster is an
// admin's, and the key goes no further.
func TestHTTP(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	write(t, path, File{Keys: []Key{{Name: "user", SHA256: Hash("u")}, {Name: "root", SHA256: Hash("r"), Admin: true}}})
	g, err := NewGuard(path, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	h := g.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the key is passed on")
		}
		w.Write([]byte(gateway.CallerOf(r.Context()).Name))
	}), func(w http.ResponseWriter, _ *http.Request, err error) {
		status := http.StatusUnauthorized
		if errors.Is(err, gateway.ErrForbidden) {
			status = http.StatusForbidden
		}
		w.WriteHeader(status)
	})
	for _, c := range []struct {
		method, path, key string
		status            int
	}{
		{"GET", "/livez", "", 200}, {"HEAD", "/readyz", "", 200}, {"POST", "/health", "", 401}, {"GET", "/livez/x", "", 401},
		{"GET", "//livez", "", 401}, {"GET", "/v1/models", "", 401}, {"GET", "/v1/models", "u", 200}, {"GET", "/cluster/status", "u", 200},
		{"POST", "/cluster/workers/a/drain", "u", 403}, {"DELETE", "/cluster/workers/a/drain", "u", 403}, {"POST", "/cluster/workers/a/drain", "r", 200},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		if c.key != "" {
			r.Header.Set("Authorization", "Bearer "+c.key)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
}
