package batch_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/openai/openai-go/v3"

	"github.com/sullae/sullae/coordinator/batch"
	"github.com/sullae/sullae/coordinator/gateway/gatewaytest"
)

// The service is ended again and again at random points; every custom_id must be
// answered once.
func TestRestartsAnswerEachOnce(t *testing.T) {
	const n = 1000
	var asked atomic.Int64
	inner := handler(&gatewaytest.Engine{})
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		inner.ServeHTTP(w, r)
	})
	dir := t.TempDir()
	s := serve(t, batch.Config{API: api, Dir: dir, Concurrency: 16})
	id := s.create(s.upload(input(n)).ID, "24h").ID
	restarts := 0
	for over := false; !over; {
		upTo := asked.Load() + 20 + rand.Int64N(150)
		eventually(t, func() bool {
			over = s.get(id).Status == sdk.BatchStatusCompleted
			return over || asked.Load() >= upTo
		})
		if restarts++; !over && restarts <= 30 {
			s.stop()
			s = serve(t, batch.Config{API: api, Dir: dir, Concurrency: 16})
		}
	}
	s.once(s.get(id), n)
	t.Logf("%d restarts, %d requests for %d answers", restarts-1, asked.Load(), n)
	if restarts < 4 {
		t.Error("too few restarts to tell")
	}
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
