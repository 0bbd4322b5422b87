// Package batch is OpenAI's Files and Batches on a coordinator: files of
// requests are uploaded, batches of them are run beside the interactive
// requests and yield to them, and the answers are files again. Everything that
// must not be lost is in one folder, so that a coordinator that is started
// again goes on where the last one ended, and each custom_id is answered once.
//
// Every line is answered by the same handler that serves the endpoint. The
// formats on disk are package batchfile's, asking and repeating package runner's.
package batch

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/sullae/sullae/coordinator/gateway"
)

// Config is how batches are served. API is required.
type Config struct {
	// API answers the lines: the handler of /v1/completions and
	// /v1/chat/completions. It is called in this process.
	API http.Handler
	// Dir holds files and batches; "" turns the feature off.
	Dir string
	// Busy, if set, reports interactive requests besides those that pass
	// through Wrap: gRPC's.
	Busy func() bool
	// Caller finds the owner of an API key, whose limits its batches' lines have;
	// nil: there are none.
	Caller func(name string) gateway.Caller
	Logger *slog.Logger // nil: discarded
	Now    func() time.Time

	// Concurrency is how many lines are under way at most, of all batches
	// together; BusyConcurrency is that while there are interactive requests.
	Concurrency, BusyConcurrency int // default 64 and 1
	// Priority is that of lines that name none, as the scheduler counts: a higher
	// value is served later. Default 100.
	Priority int
	// Running is how many batches run at once; others wait their turn.
	Running int // default 4

	MaxFileBytes  int64         // of one upload; default 512 MiB
	MaxTotalBytes int64         // of the folder; default 16 GiB
	MaxFiles      int           // default 10,000
	MaxBatches    int           // unfinished ones; default 100
	MaxRequests   int           // in one batch; default 1,000,000
	MaxLineBytes  int           // default 8 MiB
	KeepFiles     time.Duration // unless a file says otherwise; default 30 days
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	for _, d := range []struct {
		v *int
		d int
	}{{&c.Concurrency, 64}, {&c.BusyConcurrency, 1}, {&c.Priority, 100}, {&c.Running, 4}, {&c.MaxFiles, 10_000}, {&c.MaxBatches, 100}, {&c.MaxRequests, 1_000_000}, {&c.MaxLineBytes, 8 << 20}} {
		if *d.v <= 0 {
			*d.v = d.d
		}
	}
	if c.MaxFileBytes <= 0 {
		c.MaxFileBytes = 512 << 20
	}
	if c.MaxTotalBytes <= 0 {
		c.MaxTotalBytes = 16 << 30
	}
	if c.KeepFiles <= 0 {
		c.KeepFiles = 30 * 24 * time.Hour
	}
	return c
}
