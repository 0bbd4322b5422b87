package batch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/sullae/sullae/coordinator/batch"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
)

func TestSDK(t *testing.T) {
	s := serve(t, batch.Config{API: handler(&gatewaytest.Engine{}), Dir: t.TempDir()})
	in := input(50)
	f := s.upload(in)
	if f.Bytes != int64(len(in)) || f.Filename != "in.jsonl" || f.Purpose != "batch" || f.ExpiresAt <= f.CreatedAt {
		t.Errorf("file %+v", f)
	}
	b := s.create(f.ID, "24h")
	if b.Status != "validating" && b.Status != "in_progress" || b.ExpiresAt != b.CreatedAt+86400 || b.Metadata["k"] != "v" || b.Endpoint != "/v1/completions" {
		t.Errorf("batch %s", b.RawJSON())
	}
	b = s.await(b.ID, sdk.BatchStatusCompleted)
	output, bad := s.once(b, 50)
	if len(output) != 45 || len(bad) != 5 || b.CompletedAt == 0 || b.FinalizingAt == 0 || b.InProgressAt == 0 {
		t.Errorf("%d and %d answers, %s", len(output), len(bad), b.RawJSON())
	}
	if b.Usage.OutputTokens != 45*3 || b.Usage.TotalTokens != b.Usage.InputTokens+b.Usage.OutputTokens {
		t.Errorf("usage %+v", b.Usage)
	}
	for _, a := range output {
		var body struct{ Choices []struct{ Text string } }
		if err := json.Unmarshal(a.Response.Body, &body); err != nil || a.Response.RequestID == "" ||
			body.Choices[0].Text != strings.Replace(a.CustomID, "r", "p", 1)[:min(3, len(a.CustomID))]+map[bool]string{true: " "}[len(a.CustomID) == 2] {
			t.Errorf("%s: %s, %v", a.CustomID, a.Response.Body, err)
		}
	}
	if r := bad[0].Response; r.StatusCode != 400 || !strings.Contains(string(r.Body), "max_tokens") {
		t.Errorf("error %+v", r)
	}

	var listed []string
	for it := s.sdk.Files.ListAutoPaging(t.Context(), sdk.FileListParams{Limit: sdk.Int(2)}); it.Next(); {
		listed = append(listed, it.Current().ID)
	}
	if len(listed) != 3 || listed[2] != f.ID {
		t.Errorf("listed %q", listed)
	}
	second := s.create(f.ID, "1h")
	page, err := s.sdk.Batches.List(t.Context(), sdk.BatchListParams{Limit: sdk.Int(1)})
	if err != nil || len(page.Data) != 1 || page.Data[0].ID != second.ID || !page.HasMore {
		t.Errorf("listed %+v, %v", page, err)
	}
	s.await(second.ID, sdk.BatchStatusCompleted)
	if del, err := s.sdk.Files.Delete(t.Context(), f.ID); err != nil || !del.Deleted {
		t.Errorf("deleted %+v, %v", del, err)
	}
	if _, err := s.sdk.Files.Get(t.Context(), f.ID); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a deleted file: %v", err)
	}
}

func TestInvalidInputFailsTheBatch(t *testing.T) {
	s := serve(t, batch.Config{API: handler(&gatewaytest.Engine{}), Dir: t.TempDir(), MaxRequests: 5})
	for in, want := range map[string]string{
		input(2) + "{\n" + input(1): "3 invalid_json_line, 4 duplicate_custom_id",
		strings.ReplaceAll(input(1), "/v1/completions", "/v1/chat/completions"): "1 invalid_url",
		"":       "0 empty_file",
		input(6): "0 too_many_requests",
	} {
		b := s.await(s.create(s.upload(in).ID, "24h").ID, sdk.BatchStatusFailed)
		var got []string
		for _, e := range b.Errors.Data {
			got = append(got, fmt.Sprint(e.Line, " ", e.Code))
		}
		if strings.Join(got, ", ") != want || b.FailedAt == 0 {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	// More answers than are written at once, and room for very few of them.
	in := input(70)
	s := serve(t, batch.Config{API: handler(&gatewaytest.Engine{}), Dir: t.TempDir(), MaxFileBytes: 10_000, MaxTotalBytes: 20_800 + int64(len(in)), Concurrency: 1, MaxFiles: 4})
	post := func(text string) string {
		_, err := s.sdk.Files.New(t.Context(), sdk.FileNewParams{File: strings.NewReader(text), Purpose: "batch"}, option.WithMaxRetries(0))
		if err == nil {
			return "200"
		}
		return err.Error()
	}
	for i, c := range []struct{ text, want string }{
		{strings.Repeat("x", 10_001), "413"}, {strings.Repeat("x", 10_000), "200"}, {strings.Repeat("x", 10_000), "200"},
		{strings.Repeat("x", 9_900), "507"}, {in, "200"}, {"x", "200"}, {"x", "507"},
	} {
		if got := post(c.text); !strings.Contains(got, c.want) {
			t.Errorf("upload %d: %s, want %s", i, got, c.want)
		}
	}
	files, err := s.sdk.Files.List(t.Context(), sdk.FileListParams{Order: "asc"})
	if err != nil || len(files.Data) != 4 {
		t.Fatalf("%+v, %v", files, err)
	}
	// The answers of the third file don't fit any more.
	b := s.await(s.create(files.Data[2].ID, "24h").ID, sdk.BatchStatusFailed)
	if len(b.Errors.Data) != 1 || b.Errors.Data[0].Code != "storage_full" || b.OutputFileID == "" {
		t.Errorf("%s", b.RawJSON())
	}
}

func TestRefusals(t *testing.T) {
	off := serve(t, batch.Config{API: handler(&gatewaytest.Engine{})})
	on := serve(t, batch.Config{API: handler(&gatewaytest.Engine{}), Dir: t.TempDir()})
	f := on.upload(input(1)).ID
	body := func(change string) string {
		all := map[string]any{"input_file_id": f, "endpoint": "/v1/completions", "completion_window": "24h"}
		var c map[string]any
		if err := json.Unmarshal([]byte(change), &c); err != nil {
			t.Fatal(err)
		}
		for k, v := range c {
			all[k] = v
		}
		b, _ := json.Marshal(all)
		return string(b)
	}
	for _, c := range []struct {
		s                  *served
		method, path, body string
		status             int
		want               string
		header             string
	}{
		{off, "GET", "/v1/batches", "", 501, "--batch-dir", ""},
		{off, "POST", "/v1/files", "", 501, "--batch-dir", ""},
		{off, "GET", "/v1/models", "", 200, "tiny", ""},
		{on, "GET", "/v1/models", "", 200, "tiny", ""},
		{on, "POST", "/v1/completions", `{"prompt":"x","max_tokens":1}`, 200, "text_completion", ""},
		{on, "GET", "/v1/batches/batch_x", "", 404, "batch_not_found", ""},
		{on, "GET", "/v1/files/../files/x/content", "", 404, "file_not_found", ""},
		{on, "PUT", "/v1/files", "", 404, "route_not_found", ""},
		{on, "GET", "/v1/files?limit=0", "", 400, `"limit"`, ""},
		{on, "GET", "/v1/files?after=x", "", 400, `"after"`, ""},
		{on, "GET", "/v1/batches?limit=101", "", 400, `"limit"`, ""},
		{on, "POST", "/v1/files", "x", 400, "multipart/form-data", ""},
		{on, "POST", "/v1/files", "x", 403, "cross_origin", "Origin"},
		{on, "POST", "/v1/batches", "x", 400, "not a JSON object", ""},
		{on, "POST", "/v1/batches", body(`{"input_file_id":"file-x"}`), 400, "file_not_found", ""},
		{on, "POST", "/v1/batches", body(`{"endpoint":"/v1/embeddings"}`), 400, `"endpoint"`, ""},
		{on, "POST", "/v1/batches", body(`{"completion_window":"1ms"}`), 400, `"completion_window"`, ""},
		{on, "POST", "/v1/batches", body(`{"metadata":{"a":1}}`), 400, `metadata`, ""},
		{on, "POST", "/v1/batches", body(`{"output_expires_after":{"anchor":"created_at","seconds":1}}`), 400, "3600", ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, c.s.url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.header != "" {
			req.Header.Set(c.header, "http://example.com")
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || !bytes.Contains(got, []byte(c.want)) {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, resp.StatusCode, got, c.status, c.want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// A second process waits for the folder, and then goes on.
func TestOneProcessHasTheFolder(t *testing.T) {
	dir := t.TempDir()
	first := serve(t, batch.Config{API: handler(&gatewaytest.Engine{}), Dir: dir})
	f := first.upload(input(3)).ID
	second := batch.New(batch.Config{API: handler(&gatewaytest.Engine{}), Dir: dir})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- second.Run(ctx) }()
	status := func() int {
		w := httptest.NewRecorder()
		second.Wrap(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/v1/files/"+f, nil))
		return w.Code
	}
	if got := status(); got != 503 {
		t.Errorf("status %d while another process has the folder", got)
	}
	first.stop()
	eventually(t, func() bool { return status() == 200 })
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
}

func TestFilesExpire(t *testing.T) {
	var mu sync.Mutex
	var ahead time.Duration
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
	dir := t.TempDir()
	s := serve(t, batch.Config{API: handler(&gatewaytest.Engine{}), Dir: dir, Now: now})
	f := s.upload(input(1)).ID
	s.stop()
	mu.Lock()
	ahead = 31 * 24 * time.Hour
	mu.Unlock()
	s = serve(t, batch.Config{API: handler(&gatewaytest.Engine{}), Dir: dir, Now: now})
	eventually(t, func() bool {
		_, err := s.sdk.Files.Get(t.Context(), f)
		return err != nil && strings.Contains(err.Error(), "404")
	})
}
