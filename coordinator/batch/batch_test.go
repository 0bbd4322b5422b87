package batch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"go.uber.org/goleak"

	"github.com/sullae/sullae/coordinator/batch"
	"github.com/sullae/sullae/coordinator/batch/batchfile"
	"github.com/sullae/sullae/coordinator/gateway"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
	"github.com/sullae/sullae/coordinator/gateway/openai"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a coordinator's HTTP side over a scripted engine.
type served struct {
	t    *testing.T
	svc  *batch.Service
	url  string
	sdk  sdk.Client
	stop func()
}

func handler(e gateway.Engine) http.Handler {
	return openai.NewHandler(openai.Config{Service: gateway.New(gateway.Config{Model: gatewaytest.Model(), Engine: e})})
}

func serve(t *testing.T, c batch.Config) *served {
	t.Helper()
	s := &served{t: t, svc: batch.New(c)}
	hs := httptest.NewServer(s.svc.Wrap(c.API))
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- s.svc.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
		hs.Close()
	})
	t.Cleanup(s.stop)
	s.url = hs.URL
	s.sdk = sdk.NewClient(option.WithBaseURL(hs.URL+"/v1/"), option.WithAPIKey("none"), option.WithHTTPClient(hs.Client()))
	if c.Dir != "" {
		eventually(t, func() bool {
			resp, err := hs.Client().Get(hs.URL + "/v1/files")
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == 200
		})
	}
	return s
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if holds() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it didn't happen")
}

// input is n lines of completions; every tenth is one that the endpoint refuses.
func input(n int) string {
	var b strings.Builder
	for i := range n {
		max := 3
		if i%10 == 9 {
			max = -1
		}
		fmt.Fprintf(&b, `{"custom_id":"r%d","method":"POST","url":"/v1/completions","body":{"prompt":"p%d ","max_tokens":%d,"temperature":0}}`+"\n", i, i, max)
	}
	return b.String()
}

func (s *served) upload(text string) *sdk.FileObject {
	s.t.Helper()
	f, err := s.sdk.Files.New(s.t.Context(), sdk.FileNewParams{File: sdk.File(strings.NewReader(text), "in.jsonl", "application/jsonl"), Purpose: sdk.FilePurposeBatch})
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

func (s *served) create(file, window string) *sdk.Batch {
	s.t.Helper()
	b, err := s.sdk.Batches.New(s.t.Context(), sdk.BatchNewParams{InputFileID: file, Endpoint: "/v1/completions", CompletionWindow: sdk.BatchNewParamsCompletionWindow(window), Metadata: map[string]string{"k": "v"}})
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *served) get(id string) *sdk.Batch {
	s.t.Helper()
	b, err := s.sdk.Batches.Get(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *served) await(id string, status sdk.BatchStatus) *sdk.Batch {
	s.t.Helper()
	var b *sdk.Batch
	eventually(s.t, func() bool { b = s.get(id); return b.Status == status })
	return b
}

func (s *served) answers(file string) (all []batchfile.Answer) {
	s.t.Helper()
	if file == "" {
		return nil
	}
	resp, err := s.sdk.Files.Content(s.t.Context(), file)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	for d := json.NewDecoder(resp.Body); d.More(); {
		var a batchfile.Answer
		if err := d.Decode(&a); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// once checks that each of n custom_ids is in one of the two files, once.
func (s *served) once(b *sdk.Batch, n int) (output, errors []batchfile.Answer) {
	s.t.Helper()
	output, errors = s.answers(b.OutputFileID), s.answers(b.ErrorFileID)
	seen := map[string]int{}
	for _, a := range append(append([]batchfile.Answer(nil), output...), errors...) {
		seen[a.CustomID]++
	}
	for i := range n {
		if c := seen[fmt.Sprint("r", i)]; c != 1 {
			s.t.Errorf("r%d is answered %d times", i, c)
		}
	}
	if len(seen) != n {
		s.t.Errorf("%d answers to %d requests", len(seen), n)
	}
	if c := b.RequestCounts; int(c.Total) != n || int(c.Completed) != len(output) || int(c.Failed) != len(errors) {
		s.t.Errorf("counts %+v for %d and %d answers", c, len(output), len(errors))
	}
	return output, errors
}

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

// TestRestartsAnswerEachOnce ends the service again and again at random points; every custom_id
// must be answered once.
func TestRestartsAnswerEachOnce(t *testing.T) {
	const n = 1000
	e := &gatewaytest.Engine{}
	dir := t.TempDir()
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		handlerOnce(e).ServeHTTP(w, r)
	})
	s := serve(t, batch.Config{API: slow, Dir: dir, Concurrency: 16})
	id := s.create(s.upload(input(n)).ID, "24h").ID
	restarts := 0
	for ; s.get(id).Status != sdk.BatchStatusCompleted && restarts < 200; restarts++ {
		time.Sleep(time.Duration(100+rand.IntN(400)) * time.Millisecond)
		s.stop()
		s = serve(t, batch.Config{API: slow, Dir: dir, Concurrency: 16})
	}
	b := s.await(id, sdk.BatchStatusCompleted)
	s.once(b, n)
	t.Log(restarts, "restarts")
	if restarts < 3 {
		t.Error("too few restarts to tell")
	}
}

var handlers sync.Map

// handlerOnce keeps one handler per engine: each registers its own metrics.
func handlerOnce(e *gatewaytest.Engine) http.Handler {
	h, ok := handlers.Load(e)
	if !ok {
		h, _ = handlers.LoadOrStore(e, handler(e))
	}
	return h.(http.Handler)
}

func TestCancelAndExpire(t *testing.T) {
	release := make(chan struct{})
	var answered int
	var mu sync.Mutex
	inner := handler(&gatewaytest.Engine{})
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		answered++
		held := answered > 20
		mu.Unlock()
		if held {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		inner.ServeHTTP(w, r)
	})
	defer close(release)
	s := serve(t, batch.Config{API: api, Dir: t.TempDir(), Concurrency: 4})
	f := s.upload(input(300))
	cancel, expire := s.create(f.ID, "24h"), s.create(f.ID, "3s")
	eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return answered > 20 })
	if _, err := s.sdk.Files.Delete(t.Context(), f.ID); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("a file in use: %v", err)
	}
	b, err := s.sdk.Batches.Cancel(t.Context(), cancel.ID)
	if err != nil || b.Status != sdk.BatchStatusCancelling && b.Status != sdk.BatchStatusCancelled {
		t.Errorf("cancel: %+v, %v", b, err)
	}
	for id, want := range map[string]sdk.BatchStatus{cancel.ID: sdk.BatchStatusCancelled, expire.ID: sdk.BatchStatusExpired} {
		b := s.await(id, want)
		_, bad := s.once(b, 300)
		if last := bad[len(bad)-1]; last.Error == nil || last.Error.Code != "batch_"+string(want) {
			t.Errorf("%s: last answer %+v", want, last)
		}
	}
	if _, err := s.sdk.Batches.Cancel(t.Context(), expire.ID); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("cancelling what is over: %v", err)
	}
}

func TestYieldsToInteractiveRequests(t *testing.T) {
	var mu sync.Mutex
	running, peak := 0, 0
	step := make(chan struct{})
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Interactive") != "" {
			<-step
			return
		}
		mu.Lock()
		running++
		peak = max(peak, running)
		mu.Unlock()
		time.Sleep(2 * time.Millisecond)
		mu.Lock()
		running--
		mu.Unlock()
		io.WriteString(w, "{}")
	})
	s := serve(t, batch.Config{API: api, Dir: t.TempDir(), Concurrency: 8, BusyConcurrency: 1})
	var wg sync.WaitGroup
	wg.Go(func() {
		req, _ := http.NewRequest("POST", s.url+"/v1/chat/completions", nil)
		req.Header.Set("Interactive", "1")
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
		http.DefaultClient.CloseIdleConnections()
	})
	eventually(t, func() bool { return s.svc.Interactives() == 1 })
	id := s.create(s.upload(input(300)).ID, "24h").ID
	eventually(t, func() bool { return s.get(id).RequestCounts.Completed >= 20 })
	mu.Lock()
	if peak != 1 {
		t.Errorf("%d at once beside an interactive request", peak)
	}
	mu.Unlock()
	close(step)
	wg.Wait()
	s.await(id, sdk.BatchStatusCompleted)
	if peak < 4 {
		t.Errorf("only %d at once without one", peak)
	}
}

func TestLimits(t *testing.T) {
	s := serve(t, batch.Config{API: handler(&gatewaytest.Engine{}), Dir: t.TempDir(), MaxFileBytes: 10_000, MaxTotalBytes: 22_000, Concurrency: 1, MaxFiles: 4})
	post := func(text string) string {
		_, err := s.sdk.Files.New(t.Context(), sdk.FileNewParams{File: strings.NewReader(text), Purpose: "batch"}, option.WithMaxRetries(0))
		if err == nil {
			return "200"
		}
		return err.Error()
	}
	for i, c := range []struct{ text, want string }{
		{strings.Repeat("x", 10_001), "413"}, {strings.Repeat("x", 10_000), "200"}, {strings.Repeat("x", 10_000), "200"},
		{strings.Repeat("x", 6_000), "507"}, {input(8), "200"}, {"x", "200"}, {"x", "507"},
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
