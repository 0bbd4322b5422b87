package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadiness: /readyz of every process says what is true of it, through a
// drain, kills down to fewer workers than serve, a return, and a failover: a
// worker is ready while it is a rank of a serving group, a coordinator while a
// request that is sent to it is answered.
func TestReadiness(t *testing.T) {
	long(t)
	addr := startEtcd(t)
	ops, web := map[string]string{}, map[string]string{}
	place := func(id string) []string {
		ops[id] = net.JoinHostPort("127.0.0.1", freePort(t))
		return []string{"--id", id, "--etcd", addr, "--ops", ops[id]}
	}
	coordinator := func(id string) *process {
		web[id] = "http://" + net.JoinHostPort("127.0.0.1", freePort(t))
		return launch(t, append([]string{"coordinator", "--http", strings.TrimPrefix(web[id], "http://"), "--grpc", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0",
			"--gossip", "127.0.0.1:0", "--workers", "0", "--min-workers", "2", "--regroup", "300ms", "--lease-ttl", "2s"}, place(id)...)...)
	}
	leader := "first"
	// ready has a probe's patience.
	ready := func(id string) bool {
		c := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := c.Get("http://" + ops[id] + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	// answers asks one coordinator for a token.
	answers := func(id string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "POST", web[id]+"/v1/completions", strings.NewReader(`{"prompt": [5], "max_tokens": 1}`))
		req.Header.Set("Content-Type", "application/json")
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	// group is the leader's serving group: its epoch and its ranks.
	group := func() string {
		p := &process{http: web[leader]}
		s, err := p.status()
		if err != nil || s.Group.Phase != "serving" {
			return ""
		}
		ids := fmt.Sprint(s.Group.Epoch)
		for _, w := range s.Workers {
			if w.Rank >= 0 {
				ids += " " + w.ID
			}
		}
		return ids
	}
	placed := map[string]time.Time{} // workers that were ranks, and when last
	// lies lists what probes say against what is so; nothing where that changed
	// meanwhile.
	lies := func() (out []string) {
		before := group()
		for id := range ops {
			var truth bool
			if web[id] != "" {
				truth = answers(id)
			} else if truth = slices.Contains(strings.Fields(before), id); truth {
				placed[id] = time.Now()
			}
			if says := ready(id); says != truth {
				if web[id] == "" && says && time.Since(placed[id]) > 9*time.Second {
					continue // without a place for so long it is a spare, which is ready
				}
				out = append(out, fmt.Sprintf("%s says %v", id, says))
			}
		}
		if group() != before {
			return nil
		}
		return out
	}
	// settled waits until the group has become what it must and no probe lies; then
	// for a second none may.
	settled := func(when, want string) {
		t.Helper()
		eventually(t, time.Minute, when+": the group is of "+want, func() bool {
			_, ranks, _ := strings.Cut(group(), " ")
			return ranks == want && len(lies()) == 0
		})
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if l := lies(); len(l) > 0 {
				t.Errorf("%s, after it had been so: %v", when, l)
				return
			}
		}
	}

	first := coordinator("first")
	workers := map[string]*exec.Cmd{}
	for _, id := range []string{"w0", "w1", "w2"} {
		workers[id] = worker(t, place(id)...)
	}
	first.awaitReady()
	second := coordinator("second")
	eventually(t, 10*time.Second, "the second has started", func() bool { return second.logged("standing by") })
	settled("three workers", "w0 w1 w2")
	run(t, "drain", "w2", "--http", web["first"])
	settled("w2 is drained", "w0 w1")
	run(t, "drain", "w2", "--undo", "--http", web["first"])
	settled("w2 is back", "w0 w1 w2")
	workers["w1"].Process.Signal(syscall.SIGKILL)
	settled("w1 is killed", "w0 w2")
	workers["w0"].Process.Signal(syscall.SIGKILL)
	settled("w0 is killed, and one is too few", "")
	worker(t, place("w1")...)
	settled("w1 has come again", "w1 w2")
	first.cmd.Process.Signal(syscall.SIGKILL)
	leader = "second"
	settled("the leader is killed", "w1 w2")
}
