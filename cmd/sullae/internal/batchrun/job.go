// Package batchrun runs a file of requests against a server over HTTP, and shows
// how far it is.
package batchrun

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/sullae/sullae/coordinator/batch/batchfile"
	"github.com/sullae/sullae/coordinator/batch/runner"
)

// Job is one batch.
type Job struct {
	Base        *url.URL
	Key         string      // bearer token; "": none
	TLS         *tls.Config // nil: the system's authorities
	Timeout     time.Duration
	Concurrency int
	Attempts    int
	Patience    time.Duration
	Priority    int // of requests that name none; 0: they are sent as they are

	In    *os.File
	Out   *batchfile.Log
	Index *batchfile.Index
	// OnRetry, if set, is told why something is sent again.
	OnRetry func(because error, after time.Duration)

	mu    sync.Mutex // guards what follows, and Index
	tally Tally
}

// Tally is how far a job is.
type Tally struct {
	Total, Done, Failed int // requests
	Before              int // of those done, in earlier runs
	Tokens              int64
	Usage               batchfile.Usage // with those of earlier runs
}

// Tally is a snapshot.
func (j *Job) Tally() Tally {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tally
}

// Resume reads the answers of earlier runs.
func (j *Job) Resume() error {
	j.tally.Total = j.Index.Len()
	err := j.Out.Recover(func(a *batchfile.Answer) error {
		j.count(a)
		return j.Index.Mark(a.CustomID)
	})
	j.tally.Before, j.tally.Tokens = j.tally.Done, 0
	return err
}

func (j *Job) count(a *batchfile.Answer) {
	j.tally.Done++
	if !a.OK() {
		j.tally.Failed++
	}
	u := a.Usage()
	j.tally.Tokens += u.CompletionTokens
	j.tally.Usage.PromptTokens += u.PromptTokens
	j.tally.Usage.CompletionTokens += u.CompletionTokens
}

// Run answers what has no answer yet.
func (j *Job) Run(ctx context.Context) error {
	if _, err := j.In.Seek(0, io.SeekStart); err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if j.TLS != nil {
		transport.TLSClientConfig = j.TLS
	}
	transport.MaxIdleConnsPerHost, transport.MaxIdleConns = j.Concurrency, j.Concurrency
	defer transport.CloseIdleConnections()
	s := &sender{base: j.Base, key: j.Key, timeout: j.Timeout, priority: j.Priority, client: &http.Client{Transport: transport}}
	in := batchfile.NewReader(j.In, batchfile.Rules{MaxLineBytes: 32 << 20})
	r := &runner.Runner{Do: s.send, Write: j.write, Limit: runner.NewLimit(j.Concurrency), Attempts: j.Attempts, Patience: j.Patience}
	if j.OnRetry != nil {
		r.OnRetry = func(_ batchfile.Request, because error, after time.Duration) { j.OnRetry(because, after) }
	}
	return r.Run(ctx, func() (batchfile.Request, error) {
		for {
			req, err := in.Next()
			if err != nil || !j.answered(req.Line) {
				return req, err
			}
		}
	})
}

func (j *Job) answered(line int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.Index.Answered(line)
}

func (j *Job) write(answers []batchfile.Answer) error {
	if err := j.Out.Append(answers); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range answers {
		if err := j.Index.Mark(answers[i].CustomID); err != nil {
			return err // the requests were changed while they were read
		}
		j.count(&answers[i])
	}
	return nil
}
