package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sullae/sullae/coordinator/batch/batchfile"
)

// batchServer answers completions with their prompt, refuses now and then, and
// fails prompts that say so.
func batchServer(t *testing.T) (url string, asked *atomic.Int64) {
	asked = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var body struct{ Prompt string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/v1/completions" {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		switch {
		case strings.HasPrefix(body.Prompt, "bad"):
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"error":{"message":"bad"}}`)
			return
		case rand.IntN(50) == 0:
			w.Header().Set("Retry-After", "0.05")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
		fmt.Fprintf(w, `{"choices":[{"text":%q}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`, body.Prompt)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// batchInput writes n requests, of which the first bad ones will fail.
func batchInput(t *testing.T, n, bad int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		prompt := fmt.Sprint("p", i)
		if i < bad {
			prompt = "bad"
		}
		fmt.Fprintf(&b, `{"custom_id":"r%d","method":"POST","url":"/v1/completions","body":{"prompt":%q}}`+"\n", i, prompt)
	}
	path := filepath.Join(t.TempDir(), "in.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// batchAnswers reads a whole file of answers.
func batchAnswers(t *testing.T, path string) (all []batchfile.Answer) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := json.NewDecoder(f); d.More(); {
		var a batchfile.Answer
		if err := d.Decode(&a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

func checkOnce(t *testing.T, path string, n int) {
	t.Helper()
	seen := map[string]int{}
	for _, a := range batchAnswers(t, path) {
		seen[a.CustomID]++
		if want := fmt.Sprintf(`"text":"p%s"`, a.CustomID[1:]); a.OK() && !strings.Contains(string(a.Response.Body), want) {
			t.Errorf("%s: %s", a.CustomID, a.Response.Body)
		}
	}
	for i := range n {
		if c := seen[fmt.Sprint("r", i)]; c != 1 {
			t.Errorf("r%d is answered %d times", i, c)
		}
	}
	if len(seen) != n {
		t.Errorf("%d answers, want %d", len(seen), n)
	}
}

func newBatchCmd(in, out, url string) *batchCmd {
	return &batchCmd{In: in, Out: out, HTTP: url, Concurrency: 32, Attempts: 3, Timeout: time.Minute, Patience: time.Minute, every: time.Second}
}

func TestBatchWhole(t *testing.T) {
	url, _ := batchServer(t)
	out := filepath.Join(t.TempDir(), "out.jsonl")
	var shown bytes.Buffer
	c := newBatchCmd(batchInput(t, 300, 3), out, url)
	c.Ordered = true
	err := c.run(t.Context(), streams{err: &shown})
	if f, ok := errors.AsType[failedLines](err); !ok || f != (failedLines{3, 300}) || f.ExitCode() != 2 {
		t.Errorf("got %v", err)
	}
	checkOnce(t, out, 300)
	for i, a := range batchAnswers(t, out) {
		if a.CustomID != fmt.Sprint("r", i) {
			t.Fatalf("answer %d is to %s", i, a.CustomID)
		}
	}
	if want := "300 of 300 requests answered, 3 with an error; 300 in "; !strings.Contains(shown.String(), want) {
		t.Errorf("shown %q", shown.String())
	}
	// Nothing is left to do.
	shown.Reset()
	if err := c.run(t.Context(), streams{err: &shown}); !strings.Contains(fmt.Sprint(err), "3 of 300") || !strings.Contains(shown.String(), "300 of 300 requests are answered already") {
		t.Errorf("again: %v, %q", err, shown.String())
	}
}

// The command's own process is killed again and again.
func TestBatchKilled(t *testing.T) {
	if in := os.Getenv("TEST_BATCH_IN"); in != "" {
		c := newBatchCmd(in, os.Getenv("TEST_BATCH_OUT"), os.Getenv("TEST_BATCH_URL"))
		if err := c.run(context.Background(), standard()); err != nil {
			t.Fatal(err)
		}
		return
	}
	const n = 1000
	url, asked := batchServer(t)
	in, out := batchInput(t, n, 0), filepath.Join(t.TempDir(), "out.jsonl")
	kills := 0
	for ; ; kills++ {
		cmd := exec.Command(os.Args[0], "-test.run=^TestBatchKilled$")
		cmd.Env = append(os.Environ(), "TEST_BATCH_IN="+in, "TEST_BATCH_OUT="+out, "TEST_BATCH_URL="+url)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		before := asked.Load()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		over := make(chan error, 1)
		go func() { over <- cmd.Wait() }()
		upTo := before + 30 + rand.Int64N(150)
		var err error
		for ended := false; !ended; {
			select {
			case err = <-over:
				ended = true
			case <-time.After(time.Millisecond):
				if kills < 12 && asked.Load() > upTo {
					cmd.Process.Kill()
				}
			}
		}
		if err == nil {
			break
		}
		if kills >= 12 || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%v: %s", err, &said)
		}
		// A kill seldom hits the middle of a write; this does.
		if rand.IntN(2) == 0 {
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteString(`{"id":"batch_req_x","custom_id":"r1","resp`)
			f.Close()
		}
	}
	checkOnce(t, out, n)
	if kills == 0 {
		t.Error("it was never killed")
	}
	t.Logf("%d kills, %d requests sent for %d answers", kills, asked.Load(), n)
}

func TestBatchRefusals(t *testing.T) {
	url, asked := batchServer(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := batchInput(t, 2, 0)
	line := `{"custom_id":"a","method":"POST","url":"/v1/completions","body":{}}` + "\n"
	bad := file("bad", line+line+"{\n"+strings.Repeat("x\n", 30))
	other := file("other", `{"id":"batch_req_1","custom_id":"zz","response":null,"error":{"code":"c","message":"m"}}`+"\n")
	for _, c := range []struct{ in, out, url, want, shown string }{
		{bad, dir + "/o", url, "32 lines can't be sent; nothing was sent", "bad:2: custom_id \"a\" is that of line 1, too"},
		{bad, dir + "/o", url, "", "and 12 more"},
		{file("empty", ""), dir + "/o", url, "the file has no requests", ""},
		{good, good, url, "are the same file", ""},
		{good, other, url, `custom_id "zz" is not among the requests: give another file`, ""},
		{good, file("notes", "shopping"), url, "is no answer to these requests", ""},
		{dir, dir + "/o", url, "not a regular file", ""},
		{dir + "/missing", dir + "/o", url, "no such file", ""},
		{good, dir + "/o", "ftp://x", "--http ftp://x", ""},
	} {
		var shown bytes.Buffer
		err := newBatchCmd(c.in, c.out, c.url).run(t.Context(), streams{err: &shown})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(shown.String(), c.shown) {
			t.Errorf("%s: %v, %q", filepath.Base(c.in), err, shown.String())
		}
	}
	if asked.Load() != 0 {
		t.Errorf("%d requests were sent", asked.Load())
	}
	// Nobody is there.
	c := newBatchCmd(good, filepath.Join(dir, "o2"), "http://127.0.0.1:1")
	c.Patience = time.Millisecond
	if err := c.run(t.Context(), streams{err: io.Discard}); err == nil || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), "0 of 2 requests are answered") {
		t.Errorf("nobody there: %v", err)
	}
}
