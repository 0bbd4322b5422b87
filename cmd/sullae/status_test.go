package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sullae/sullae/cmd/sullae/internal/fakecluster"
	"github.com/sullae/sullae/coordinator/status"
)

// serving is a cluster of two workers, with a third that is gone.
func serving() *status.Cluster {
	return &status.Cluster{
		Version: "0.1.0", Cluster: "default", Coordinator: "c1",
		Model: status.Model{Name: "demo", Architecture: "ExaoneForCausalLM", CheckpointID: "db768ab8ecff0123456789", MaxModelLen: 2048},
		Group: status.Group{Phase: "serving", Epoch: 3, Step: 1204, WorldSize: 2, WorkersWanted: 2, Running: 1, Waiting: 4, KVBlocksFree: 30, KVBlocksTotal: 40, KVType: "bf16"},
		Workers: []status.Worker{
			{ID: "worker-0", Backend: "cpu/avx2", Threads: 8, Host: "node-a", Health: "alive", Rank: 0, Heads: [2]int{0, 4}, FFN: [2]int{0, 224}, Vocab: [2]int{0, 896}, WeightBytes: 2 << 20, KVBytes: 1 << 30, LoadedBytes: 2 << 20},
			{ID: "worker-10", Backend: "cpu/portable", Threads: 16, Host: "b", Health: "alive", Rank: 1, Heads: [2]int{4, 8}, FFN: [2]int{224, 448}, Vocab: [2]int{896, 1792}, WeightBytes: 1000, KVBytes: 1 << 20, LoadedBytes: 999},
			{ID: "worker-2", Backend: "cpu/avx2", Threads: 8, Host: "c", Health: "dead", Rank: -1},
		},
	}
}

const servingView = `cluster  default, coordinator c1, version 0.1.0
model    demo (ExaoneForCausalLM), context 2048, checkpoint db768ab8ecff
group    serving
         epoch 3, step 1204, 2 of 2 workers
queue    1 running, 4 waiting
KV       10 of 40 blocks used (25 %), bf16

rank  worker     host    backend       threads  heads      FFN  vocabulary   weights        KV  health  loaded
   0  worker-0   node-a  cpu/avx2            8    0-3    0-223       0-895  2.00 MiB  1.00 GiB  alive    100 %
   1  worker-10  b       cpu/portable       16    4-7  224-447    896-1791  0.98 KiB  1.00 MiB  alive    100 %
   -  worker-2   c       cpu/avx2            8      -        -           -         -         -  dead         -
`

// answering is a coordinator's HTTP address.
func answering(t *testing.T, code int, body string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != statusPath || r.Method != http.MethodGet {
			code = http.StatusNotFound
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func marshal(t *testing.T, s *status.Cluster) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStatus(t *testing.T) {
	loading := serving()
	loading.Group.Phase, loading.Group.Reason = "loading", "1 of 2 workers have their weights"
	empty := &status.Cluster{Group: status.Group{Phase: "waiting", Reason: "0 of 2 workers\x1b[31m"}}
	for _, c := range []struct {
		name      string
		code      int
		body      string
		json      bool
		out, want string
	}{
		{"serving", 200, marshal(t, serving()), false, servingView, ""},
		{"as JSON", 200, marshal(t, serving()), true, marshal(t, serving()) + "\n", ""},
		{"loading", 200, marshal(t, loading), false, strings.NewReplacer("serving", "loading: 1 of 2 workers have their weights", "1.00 MiB  alive    100 %", "1.00 MiB  alive     99 %").Replace(servingView), "not serving: loading: 1 of 2 workers have their weights"},
		{"loading, as JSON", 200, marshal(t, loading), true, marshal(t, loading) + "\n", "not serving: loading"},
		{"no workers", 200, marshal(t, empty), false, "cluster  , coordinator , version\nmodel     (), context 0, checkpoint\ngroup    waiting: 0 of 2 workers\uFFFD[31m\n         epoch 0, step 0, 0 of 0 workers\nqueue    0 running, 0 waiting\nKV       no blocks\n\nno workers\n", "waiting"},
		{"another service", 200, "<html>", false, "", "not with a cluster's status"},
		{"other JSON", 200, "{}", false, "", "not with a cluster's status"},
		{"not found", 404, "", false, "", "404 Not Found: give a coordinator's HTTP address with --http"},
	} {
		var out bytes.Buffer
		cmd := statusCmd{HTTP: answering(t, c.code, c.body), JSON: c.json}
		err := cmd.run(t.Context(), streams{nil, &out, io.Discard}, time.Hour)
		if out.String() != c.out || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got\n%s%v; want\n%s%q", c.name, out.String(), err, c.out, c.want)
		}
	}
}

func TestStatusUnreached(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	cmd := statusCmd{HTTP: s.URL}
	err := cmd.run(t.Context(), streams{nil, io.Discard, io.Discard}, time.Hour)
	if err == nil || !strings.Contains(err.Error(), `connection refused): start one with "sullae up"`) {
		t.Errorf("got %v", err)
	}
}

func TestStatusOfGRPC(t *testing.T) {
	cmd := statusCmd{HTTP: (&fakecluster.Cluster{}).Start(t)}
	err := cmd.run(t.Context(), streams{nil, io.Discard, io.Discard}, time.Hour)
	if err == nil || !strings.Contains(err.Error(), "not as HTTP: give a coordinator's HTTP address with --http") {
		t.Errorf("got %v", err)
	}
}

func TestStatusURL(t *testing.T) {
	for addr, want := range map[string]string{
		"http://h:1":   "http://h:1/cluster/status",
		"https://h/":   "https://h/cluster/status",
		"h:8080":       "http://h:8080/cluster/status",
		":8080":        "http://127.0.0.1:8080/cluster/status",
		"ftp://h":      "",
		"http://":      "",
		"http://h:x y": "",
	} {
		if got, err := statusURL(addr); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", addr, got, err, want)
		}
	}
}

// A watch goes on whatever it sees, and ends with its context.
func TestStatusWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen++; seen == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if seen == 3 {
			defer cancel()
		}
		io.WriteString(w, marshal(t, serving()))
	}))
	defer s.Close()
	var out bytes.Buffer
	cmd := statusCmd{HTTP: s.URL, Watch: true}
	if err := cmd.run(ctx, streams{nil, &out, io.Discard}, time.Millisecond); err != nil {
		t.Error(err)
	}
	if got := out.String(); !strings.Contains(got, "503 Service Unavailable") || !strings.Contains(got, servingView) {
		t.Errorf("saw %q", got)
	}
}
