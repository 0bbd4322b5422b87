package chaos

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// Times of the watch on what coordinators say of their health.
const (
	sampleEvery = 100 * time.Millisecond
	probeEvery  = 300 * time.Millisecond
	slack       = 3 * time.Second // what is said may be behind what is
)

// sample is what a coordinator said at a time; nothing, or nothing in time, is
// "no".
type sample struct {
	at                    time.Time
	readyz, health, phase bool
}

// probe is a real completion of one token, asked of one coordinator.
type probe struct {
	began, ended time.Time
	ok           bool
	refused      bool   // it got 503, or no answer at all: its connection broke
	why          string // it is not ok
}

// truth watches one coordinator.
type truth struct {
	n       *node
	mu      sync.Mutex
	samples []sample
	probes  []probe
}

// watchTruth samples every coordinator's readiness, health and status, and asks
// it for tokens, until the returned function is called; that judges what was
// seen.
func (c *Cluster) watchTruth(ctx context.Context) (judge func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var all []*truth
	for _, n := range c.coordinators {
		t := &truth{n: n}
		all = append(all, t)
		wg.Go(func() { every(ctx, sampleEvery, func() { t.sample(ctx, c) }) })
		wg.Go(func() { every(ctx, probeEvery, func() { t.probe(ctx, c) }) })
	}
	return sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		for _, t := range all {
			t.judge(c)
		}
	})
}

func every(ctx context.Context, d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		f()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// healthy asks grpc.health.v1, over a new connection each time, as a probe does:
// one that stands may be slow to recover from a cut.
func (t *truth) healthy(ctx context.Context, c *Cluster) bool {
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(c.net.Addr(t.n.host), grpcPort), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return c.net.Dial(ctx, c.user, "tcp", addr) }))
	if err != nil {
		c.violate("%v", err)
		return false
	}
	defer conn.Close()
	for _, name := range []string{"", sullaev1.InferenceService_ServiceDesc.ServiceName, "demo"} {
		if name == "demo" && c.cfg.Model != "demo" {
			continue
		}
		r, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: name})
		if err != nil || r.Status != healthv1.HealthCheckResponse_SERVING {
			return false
		}
	}
	return true
}

func (t *truth) sample(ctx context.Context, c *Cluster) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s := sample{at: time.Now()}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, code, err := c.fetch(ctx, "GET", t.n, "/readyz", nil)
		s.readyz = err == nil && code == http.StatusOK
	})
	wg.Go(func() {
		st, err := c.status(ctx, t.n)
		s.phase = err == nil && st.Group.Phase == "serving"
	})
	wg.Go(func() { s.health = t.healthy(ctx, c) })
	wg.Wait()
	t.mu.Lock()
	t.samples = append(t.samples, s)
	t.mu.Unlock()
}

func (t *truth) probe(ctx context.Context, c *Cluster) {
	p := probe{began: time.Now()}
	pctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, code, err := c.fetch(pctx, "POST", t.n, "/v1/completions", bytes.NewReader([]byte(`{"prompt": "a", "max_tokens": 1}`)))
	p.ended, p.ok, p.why = time.Now(), err == nil && code == http.StatusOK, fmt.Sprintf("status %d", code)
	if p.refused = err != nil || code == http.StatusServiceUnavailable; err != nil {
		p.why = err.Error()
	}
	if ctx.Err() != nil || code == http.StatusTooManyRequests {
		return
	}
	t.mu.Lock()
	t.probes = append(t.probes, p)
	t.mu.Unlock()
}

// judge holds what was said to what was: a completion that fails must have been
// announced by a "no" not more than slack away, but for a single one that was refused
// or cut off because another coordinator took over within slack (these are counted
// and printed); after one that succeeded, and while others do, "yes" must be said within slack; and the
// three ways to ask must not differ for longer than that.
func (t *truth) judge(c *Cluster) {
	said := func(from, to time.Time, what func(sample) bool) (yes, no int) {
		for _, s := range t.samples {
			if s.at.Before(from) || s.at.After(to) {
				continue
			}
			if what(s) {
				yes++
			} else {
				no++
			}
		}
		return yes, no
	}
	alone := map[int]bool{}
	for name, what := range map[string]func(sample) bool{
		"/readyz":        func(s sample) bool { return s.readyz },
		"grpc.health.v1": func(s sample) bool { return s.health },
		"status":         func(s sample) bool { return s.phase },
	} {
		for i, p := range t.probes {
			if !p.ok {
				switch yes, no := said(p.began.Add(-slack), p.ended.Add(slack), what); {
				case yes == 0 || no > 0:
				case t.alone(i) && p.refused:
					alone[i] = true
				default:
					c.violate("%s of %s says yes for %v around a completion that fails (%.1f s into the run): %s", name, t.n.name, 2*slack, p.ended.Sub(c.began).Seconds(), p.why)
				}
				continue
			}
			if yes, no := said(p.ended, p.ended.Add(slack), what); t.served(i, p.ended.Add(slack)) && no > 0 && yes == 0 {
				c.violate("%s of %s says no for %v while completions succeed (%.1f s into the run)", name, t.n.name, slack, p.ended.Sub(c.began).Seconds())
			}
		}
	}
	for i := range alone {
		c.say("%s: a takeover refused a completion, or cut it off, while all was said to be well: %s", t.n.name, t.probes[i].why)
	}
	var since time.Time
	for _, s := range t.samples {
		switch differ := s.readyz != s.health || s.health != s.phase; {
		case !differ:
			since = time.Time{}
		case since.IsZero():
			since = s.at
		case s.at.Sub(since) > slack:
			c.violate("%s: /readyz %v, grpc.health.v1 %v, status %v for over %v", t.n.name, s.readyz, s.health, s.phase, slack)
			since = s.at
		}
	}
	c.say("truth of %s: %d samples, %d completions, %d of them refused or cut off without notice", t.n.name, len(t.samples), len(t.probes), len(alone))
}

// alone reports whether probe i failed and the next one did not, as where another
// coordinator took over at once.
func (t *truth) alone(i int) bool {
	return !t.probes[i].ok && i+1 < len(t.probes) && t.probes[i+1].ok && t.probes[i+1].ended.Sub(t.probes[i].ended) < slack
}

// prompt is a completion of one token that did not wait for a group to form.
const prompt = time.Second

// served reports whether completions were answered, each at once, from probe i
// on until end.
func (t *truth) served(i int, end time.Time) bool {
	for _, p := range t.probes[i+1:] {
		switch {
		case !p.ok || p.ended.Sub(p.began) > prompt:
			return false
		case p.began.After(end):
			return true
		}
	}
	return false
}
