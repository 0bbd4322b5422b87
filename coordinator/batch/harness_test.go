package batch_test

import (
	"context"
	"encoding/json"
	"fmt"
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
