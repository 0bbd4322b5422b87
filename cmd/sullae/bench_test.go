package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sullae/sullae/cmd/sullae/internal/loadtest"
)

func newBenchServe(url string) *benchServeCmd {
	return &benchServeCmd{URL: url, InputLen: 4, OutputLen: 3, Requests: 5, Timeout: time.Minute}
}

func TestBenchServe(t *testing.T) {
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/models":
			io.WriteString(w, `{"data":[{"id":"m","owned_by":"x"}]}`)
		case "/v1/chat/completions":
			io.WriteString(w, strings.Repeat("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n", 3)+"data: [DONE]\n\n")
		default:
			http.NotFound(w, r)
		}
	}))
	defer hs.Close()
	dir := t.TempDir()
	c := newBenchServe(hs.URL + "/v1/")
	c.Chat, c.Rate, c.Concurrency = true, []float64{200}, []int{1, 2}
	c.JSON, c.SVG = filepath.Join(dir, "r.json"), filepath.Join(dir, "r.svg")
	var out, said bytes.Buffer
	if err := c.run(t.Context(), streams{out: &out, err: &said}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "m at "+hs.URL+"/v1/chat/completions, 4 tokens in, 3 out\n") || strings.Count(out.String(), "\n") != 6 || strings.Count(said.String(), "5 of 5 requests") != 3 {
		t.Errorf("output\n%s%s", out.String(), said.String())
	}
	var rep loadtest.Report
	b, err := os.ReadFile(c.JSON)
	if err == nil {
		err = json.Unmarshal(b, &rep)
	}
	if err != nil || len(rep.Points) != 3 || rep.Points[0].Rate != 200 || rep.Points[2].Concurrency != 2 || rep.Points[1].OutputTokens != 15 {
		t.Errorf("%+v, %v", rep, err)
	}
	var svg struct{}
	if b, err = os.ReadFile(c.SVG); err == nil {
		err = xml.Unmarshal(b, &svg)
	}
	if err != nil {
		t.Error(err)
	}
	// Without --chat the endpoint isn't there.
	c = newBenchServe(hs.URL)
	c.Warmup = 1
	if err := c.run(t.Context(), streams{out: io.Discard, err: io.Discard}); err == nil || !strings.Contains(err.Error(), "warming up: 404") {
		t.Errorf("got %v", err)
	}
}

func TestBenchServeRefusals(t *testing.T) {
	for want, change := range map[string]func(*benchServeCmd){
		"192.0.2.1:80 is not this machine": func(c *benchServeCmd) { c.URL = "192.0.2.1:80" },
		"connection refused":               func(c *benchServeCmd) {},
		"--rate 0":                         func(c *benchServeCmd) { c.Rate = []float64{0} },
		"--concurrency 0":                  func(c *benchServeCmd) { c.Concurrency = []int{0} },
		"--input-len 0":                    func(c *benchServeCmd) { c.InputLen = 0 },
		"--extra: not a JSON object":       func(c *benchServeCmd) { c.Extra = "[]" },
		"--url ftp://x":                    func(c *benchServeCmd) { c.URL = "ftp://x" },
	} {
		c := newBenchServe("127.0.0.1:1")
		change(c)
		if err := c.run(t.Context(), streams{out: io.Discard, err: io.Discard}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
