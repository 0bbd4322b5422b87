package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	beforeFirst  = 100 * time.Millisecond
	betweenEach  = 10 * time.Millisecond
	tokensOfEach = 20
)

// fake is a server with known delays: a RoundTripper, so that it lives in fake
// time with its client.
type fake struct {
	owner string
	slots int // 429 beyond; 0: never

	mu      sync.Mutex
	running int
	bodies  []map[string]any
	sent    []time.Time
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	reply := func(status int, body io.ReadCloser) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: body, Request: r}, nil
	}
	text := func(status int, s string) (*http.Response, error) {
		return reply(status, io.NopCloser(strings.NewReader(s)))
	}
	switch r.URL.Path {
	case "/v1/models":
		return text(200, `{"data":[{"id":"m","owned_by":"`+f.owner+`"}]}`)
	case "/tokenize":
		return text(200, `{"tokens":[11,12,13,11]}`)
	}
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return text(400, err.Error())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bodies, f.sent = append(f.bodies, body), append(f.sent, time.Now())
	if f.slots > 0 && f.running >= f.slots {
		return text(429, "full")
	}
	f.running++
	pr, pw := io.Pipe()
	go func() {
		f.stream(pw, r.URL.Path)
		f.mu.Lock()
		f.running--
		f.mu.Unlock()
	}()
	return reply(200, pr)
}

func (f *fake) stream(w *io.PipeWriter, path string) {
	time.Sleep(beforeFirst)
	for i := range tokensOfEach {
		if i > 0 {
			time.Sleep(betweenEach)
		}
		chunk := `{"choices":[{"text":"x","token_ids":[1]}]}`
		if path == "/v1/chat/completions" {
			chunk = `{"choices":[{"delta":{"content":"x"}}]}`
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", chunk); err != nil {
			return
		}
	}
	fmt.Fprint(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":20}}\n\ndata: [DONE]\n\n")
	w.Close()
}

func config(f http.RoundTripper) Config {
	return Config{Base: &url.URL{Scheme: "http", Host: "fake"}, Client: &http.Client{Transport: f}, InputLen: 7, OutputLen: tokensOfEach, Timeout: time.Minute, Seed: 1, Warmup: 1}
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance*want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestClosedLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{owner: "sullae"}
		c := config(f)
		c.Loads, c.Requests = []Load{{Concurrency: 1}, {Concurrency: 4}}, 40
		rep, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		each := (beforeFirst + (tokensOfEach-1)*betweenEach).Seconds()
		for i, n := range []float64{1, 4} {
			p := rep.Points[i]
			if p.OK != 40 || p.OutputTokens != 800 || p.InputTokens != 280 || p.Errors != nil {
				t.Errorf("point %+v", p)
			}
			near(t, "TTFT", p.TTFT.P99, beforeFirst.Seconds(), 1e-6)
			near(t, "ITL", p.ITL.P50, betweenEach.Seconds(), 1e-6)
			near(t, "TPOT", p.TPOT.Mean, betweenEach.Seconds(), 1e-6)
			near(t, "E2E", p.E2E.P90, each, 1e-6)
			near(t, "throughput", p.OutputPerSecond, n*tokensOfEach/each, 1e-6)
		}
		// Prompts are of the server's own tokens, as long as they should be, and differ.
		a, b := f.bodies[1], f.bodies[2]
		ids := a["prompt"].([]any)
		if len(ids) != 7 || ids[0].(float64) < 11 || ids[0].(float64) > 13 || a["ignore_eos"] != true || fmt.Sprint(a["prompt"]) == fmt.Sprint(b["prompt"]) {
			t.Errorf("bodies %v, %v", a, b)
		}
	})
}

func TestOpenLoad(t *testing.T) {
	arrivals := func(seed uint64) (gaps []time.Duration, rep *Report) {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{owner: "else"}
			c := config(f)
			c.Seed, c.Loads, c.Requests, c.Chat = seed, []Load{{Rate: 50}}, 2000, true
			var err error
			if rep, err = Run(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			for i := 2; i < len(f.sent); i++ {
				gaps = append(gaps, f.sent[i].Sub(f.sent[i-1]))
			}
			if m, ok := f.bodies[5]["messages"].([]any); !ok || f.bodies[5]["ignore_eos"] != nil || len(strings.Fields(m[0].(map[string]any)["content"].(string))) != 7 {
				t.Errorf("body %v", f.bodies[5])
			}
		})
		return gaps, rep
	}
	gaps, rep := arrivals(1)
	p := rep.Points[0]
	if p.OK != 2000 {
		t.Errorf("point %+v", p)
	}
	near(t, "rate", p.RequestsPerSecond, 50, .1)
	near(t, "TTFT", p.TTFT.P99, beforeFirst.Seconds(), 1e-6)
	// A Poisson process: gaps spread as much as their mean, one in e above it.
	var sum, squares float64
	above := 0
	for _, g := range gaps {
		s := g.Seconds()
		sum, squares = sum+s, squares+s*s
		if s > .02 {
			above++
		}
	}
	n := float64(len(gaps))
	mean := sum / n
	near(t, "mean gap", mean, .02, .1)
	near(t, "deviation", math.Sqrt(squares/n-mean*mean), .02, .15)
	near(t, "gaps above the mean", float64(above)/n, 1/math.E, .1)
	again, _ := arrivals(1)
	other, _ := arrivals(2)
	if fmt.Sprint(gaps) != fmt.Sprint(again) || fmt.Sprint(gaps) == fmt.Sprint(other) {
		t.Error("arrivals are not a function of the seed")
	}
}

func TestErrorsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{slots: 2}
		c := config(f)
		c.Loads, c.Duration = []Load{{Rate: 50}, {Concurrency: 3}}, 10*time.Second
		rep, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range rep.Points {
			if p.Errors["429"] == 0 || p.OK == 0 || p.OK+p.Errors["429"] != p.Requests || p.Seconds > 11 {
				t.Errorf("point %+v", p)
			}
		}
	})
}

func TestStreams(t *testing.T) {
	now := func() time.Time { return time.Time{} }
	tok := `data: {"choices":[{"text":"x"}]}` + "\n\n"
	for _, c := range []struct {
		in             string
		events, tokens int
		err            error
	}{
		{tok + tok + "data: [DONE]\n\n", 2, 2, nil},
		{strings.ReplaceAll(tok, "\n", "\r\n") + ": ping\n\ndata:[DONE]\n\n", 1, 1, nil},
		{`data: {"choices":[{"text":"","token_ids":[1,2]}]}` + "\ndata: [DONE]\n", 1, 2, nil},
		{`data: {"choices":[{"delta":{"role":"assistant","content":""}}]}` + "\n" + tok + "data: [DONE]\n", 1, 1, nil},
		{tok, 1, 1, errTruncated},
		{tok + `data: {"error":{"message":"x"}}` + "\n\n", 1, 1, errInStream},
		{"data: {\n\n", 0, 0, errInStream},
	} {
		got, err := readStream(strings.NewReader(c.in), now)
		if len(got.events) != c.events || got.tokens != c.tokens || !errors.Is(err, c.err) {
			t.Errorf("%q: %d events, %d tokens, %v", c.in, len(got.events), got.tokens, err)
		}
	}
}

// A real server: figures have bounds on one side only, as the machine may be busy.
func TestRealServer(t *testing.T) {
	f := &fake{owner: "x"}
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, _ := f.RoundTrip(r)
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		buf := make([]byte, 4096)
		for {
			n, err := resp.Body.Read(buf)
			w.Write(buf[:n])
			http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	}))
	defer hs.Close()
	c := config(nil)
	c.Base, _ = url.Parse(hs.URL)
	c.Client = NewClient(false, nil)
	defer c.Client.CloseIdleConnections()
	c.Loads, c.Requests = []Load{{Concurrency: 2}, {Rate: 20}}, 6
	rep, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range rep.Points {
		if p.OK != 6 || p.TTFT.P50 < .099 || p.TPOT.P50 < .0095 || p.E2E.P50 < .285 || p.TTFT.P50 > 20 {
			t.Errorf("point %+v", p)
		}
	}
	var svg bytes.Buffer
	if err := rep.Draw(&svg); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(&svg); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	table := rep.Table(screen.Palette{})
	if lines := strings.Split(table, "\n"); len(lines) != 5 || !strings.Contains(lines[2], "2 at once") || !strings.Contains(lines[3], "20/s") {
		t.Errorf("table\n%s", table)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for _, host := range []string{"192.0.2.1:80", "[2001:db8::1]:80"} {
		u := &url.URL{Scheme: "http", Host: host}
		if err := CheckLocal(u); err == nil {
			t.Errorf("%s is taken for this machine", host)
		}
		// A name that resolves to another machine is refused when it is dialled.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		req, _ := http.NewRequestWithContext(ctx, "GET", u.String(), nil)
		_, err := NewClient(false, nil).Do(req)
		if _, ok := errors.AsType[*RemoteError](err); !ok {
			t.Errorf("dialling %s: %v", host, err)
		}
		cancel()
	}
	for _, host := range []string{"127.0.0.1:1", "[::1]:1", "localhost:1"} {
		if err := CheckLocal(&url.URL{Host: host}); err != nil {
			t.Error(err)
		}
	}
}

func TestPercentile(t *testing.T) {
	all := []float64{5, 1, 4, 2, 3, 6, 7, 8, 9, 10}
	if s := spread(all); s.P50 != 5 || s.P90 != 9 || s.P99 != 10 || s.Max != 10 || s.Mean != 5.5 {
		t.Errorf("got %+v", s)
	}
	if s := spread([]float64{3}); s.P50 != 3 || s.P99 != 3 {
		t.Errorf("got %+v", s)
	}
}

// TestPlainTokens: what is counted without being read is what reading counts.
func TestPlainTokens(t *testing.T) {
	for _, c := range []struct {
		in string
		ok bool
	}{
		{`{"choices":[{"text":"a","token_ids":[5]}]}`, true},
		{`{"choices":[{"text":"\"token_ids\":[1,2,3]","token_ids":[5,6]},{"token_ids":[7]}],"usage":null}`, true},
		{`{"choices":[{"text":"a","prompt_token_ids":[1,2],"token_ids":[]}]}`, false},
		{`{"choices":[{"text":"a"}]}`, false},
		{`{"choices":[{"token_ids":[5]}],"usage":{"completion_tokens":9}}`, false},
		{`{"choices":[{"token_ids":[5]}`, false},
		{`{"error":{"message":"x"},"choices":[{"token_ids":[5]}]}`, false},
	} {
		n, ok := plainTokens([]byte(c.in))
		if ok != c.ok {
			t.Errorf("%s: %v", c.in, ok)
		}
		var read chunk
		if ok && (json.Unmarshal([]byte(c.in), &read) != nil || n != read.tokens()) {
			t.Errorf("%s: %d tokens, read %d", c.in, n, read.tokens())
		}
	}
}
