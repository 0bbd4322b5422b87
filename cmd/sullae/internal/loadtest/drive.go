package loadtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Run measures all loads, one after the other. Where ctx ends, or a server
// answers nothing at all, the points so far come with the error.
func Run(ctx context.Context, c Config) (*Report, error) {
	t, err := c.find(ctx)
	if err != nil {
		return nil, err
	}
	rep := &Report{Target: c.Base.String(), Model: t.model, Endpoint: c.path(), InputLen: c.InputLen, OutputLen: c.OutputLen, Seed: c.Seed, Started: time.Now().UTC(), TokenIDs: t.ids != nil && !c.Chat}
	d := &driver{c: &c, t: t}
	if err := d.warmUp(ctx); err != nil {
		return rep, err
	}
	for _, l := range c.Loads {
		var p Point
		if l.Rate > 0 {
			p = summarize(l, d.open(ctx, l.Rate))
		} else {
			p = summarize(l, d.closed(ctx, l.Concurrency))
		}
		if ctx.Err() != nil {
			return rep, ctx.Err()
		}
		rep.Points = append(rep.Points, p)
		if c.OnPoint != nil {
			c.OnPoint(p)
		}
	}
	return rep, nil
}

// driver sends requests; each has a number of its own.
type driver struct {
	c      *Config
	t      *target
	number atomic.Uint64
}

// warmUp fills what a server fills at its first requests. They also show
// whether there is anything to measure.
func (d *driver) warmUp(ctx context.Context) error {
	for range d.c.Warmup {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		cctx, cancel := context.WithTimeout(ctx, d.c.Timeout)
		t, err := d.c.stream(cctx, d.t, d.number.Add(1))
		cancel()
		if err != nil {
			return fmt.Errorf("warming up: %w", err)
		}
		if t.tokens == 0 {
			return fmt.Errorf("warming up: %s answered without tokens", d.c.Base)
		}
	}
	return ctx.Err()
}

// collector gathers records.
type collector struct {
	mu      sync.Mutex
	records []record
}

func (c *collector) add(r record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records = append(c.records, r)
}

// closed runs n clients.
func (d *driver) closed(ctx context.Context, n int) []record {
	var all collector
	var sent atomic.Int64
	begun := time.Now()
	more := func() bool {
		return ctx.Err() == nil && (d.c.Duration == 0 || time.Since(begun) < d.c.Duration) &&
			(d.c.Requests == 0 || sent.Add(1) <= int64(d.c.Requests))
	}
	var clients sync.WaitGroup
	for range n {
		clients.Go(func() {
			for more() {
				r := d.c.ask(ctx, d.t, d.number.Add(1), time.Now())
				all.add(r)
				if r.fail != "" {
					sleep(ctx, failurePause) // a server that refuses at once is not to be stormed
				}
			}
		})
	}
	clients.Wait()
	return all.records
}

// failurePause is how long a client of a closed load waits after a failure.
const failurePause = 50 * time.Millisecond

// open sends requests at random times, rate of them per second on average.
func (d *driver) open(ctx context.Context, rate float64) []record {
	var all collector
	gaps := rand.New(rand.NewPCG(d.c.Seed, 0))
	begun := time.Now()
	hands := make(chan struct{}, maxInFlight)
	var requests sync.WaitGroup
	due := begun
	for sent := 0; d.c.Requests == 0 || sent < d.c.Requests; sent++ {
		due = due.Add(time.Duration(gaps.ExpFloat64() / rate * float64(time.Second)))
		if d.c.Duration > 0 && due.Sub(begun) > d.c.Duration || !sleep(ctx, time.Until(due)) {
			break
		}
		hands <- struct{}{} // if that has to wait, the request's time runs already
		at := due
		requests.Go(func() {
			all.add(d.c.ask(ctx, d.t, d.number.Add(1), at))
			<-hands
		})
	}
	requests.Wait()
	return all.records
}

// sleep reports false where ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
