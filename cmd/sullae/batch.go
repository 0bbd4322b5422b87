package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sullae/sullae/cmd/sullae/internal/batchrun"
	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/coordinator/batch/batchfile"
)

// batchCmd is `sullae batch`.
type batchCmd struct {
	In          string       `arg:"" name:"in.jsonl" help:"The requests, one in a line, in the format of OpenAI's batches."`
	Out         string       `arg:"" name:"out.jsonl" help:"The answers. Those that are there already are kept, and not asked for again."`
	HTTP        string       `name:"http" default:"http://127.0.0.1:8080" placeholder:"URL" help:"A coordinator's HTTP address, with or without http:// (${default})."`
	Concurrency int          `env:"-" default:"128" placeholder:"N" help:"The most requests at once (${default}); fewer where the server refuses some."`
	Ordered     bool         `env:"-" help:"Bring the answers in the order of the requests, at the end."`
	Priority    int          `env:"-" default:"100" placeholder:"P" help:"The priority of requests that name none: a higher value is served later, interactive requests have 0 (${default}). With 0 they are sent as they are, which servers other than Sullae may need."`
	Attempts    int          `env:"-" default:"5" placeholder:"N" help:"How often a request is sent that the server fails at, before that is its answer (${default})."`
	Timeout     durationFlag `env:"-" default:"30m" help:"How long one answer may take (${default})."`
	Patience    durationFlag `env:"-" default:"5m" help:"How long the server may be away, or refuse everything, before the run ends (${default})."`
	accessFlags
	every time.Duration // between lines of progress; 0: 5 s
}

// Help is shown below the flags.
func (batchCmd) Help() string {
	return `Lines of IN.jsonl: {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {...}};
the url may be /v1/completions, too. All lines are checked before the first is sent.

Answers are appended to OUT.jsonl in the order in which they come. Each is on the disk
before it counts, so the command may be killed at any time: started again with the same
files it goes on, and in the end each custom_id has been answered once.

The exit status is 0 where all requests succeeded, 2 where some have an error for an
answer, 1 where the run could not be finished.`
}

// failedLines tells that the run is over, but some of its answers are errors.
type failedLines struct{ failed, total int }

func (e failedLines) Error() string {
	return fmt.Sprintf("%d of %d requests have an error for an answer", e.failed, e.total)
}

// ExitCode tells it from a run that has an end of its own to come.
func (failedLines) ExitCode() int { return 2 }

// Run answers the requests.
func (c *batchCmd) Run(ctx context.Context) error { return c.run(ctx, standard()) }

func (c *batchCmd) run(ctx context.Context, std streams) (err error) {
	base, err := httpBase("--http", c.HTTP)
	if err != nil {
		return err
	}
	if c.Concurrency < 1 || c.Attempts < 1 {
		return errors.New("--concurrency and --attempts must be at least 1")
	}
	in, err := openRegular(c.In)
	if err != nil {
		return err
	}
	defer in.Close()
	index, err := c.check(ctx, std, in)
	if err != nil {
		return err
	}
	out, err := c.openOut(in)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()

	key, err := c.key()
	if err != nil {
		return err
	}
	security, err := c.tlsConfig()
	if err != nil {
		return err
	}
	job := &batchrun.Job{
		Base: base, Key: key, TLS: security, Timeout: c.Timeout, Concurrency: c.Concurrency, Attempts: c.Attempts, Patience: c.Patience, Priority: c.Priority,
		In: in, Out: out, Index: index,
	}
	if err := job.Resume(); err != nil {
		return fmt.Errorf("%w: give another file for the answers", err)
	}
	show := batchrun.NewProgress(std.err, screen.IsTerminal(std.err), job.Tally, c.every)
	job.OnRetry = show.Retrying
	err = job.Run(ctx)
	show.Close()
	t := job.Tally()
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w; %d of %d requests are answered, the same command goes on with the others", err, t.Done, t.Total)
		}
		return err
	}
	if c.Ordered {
		if err := out.Sort(index); err != nil {
			return fmt.Errorf("all requests are answered, but %s could not be brought in order: %w", c.Out, err)
		}
	}
	if t.Failed > 0 {
		return failedLines{t.Failed, t.Total}
	}
	return nil
}

// openRegular opens a file that can be read twice.
func openRegular(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file; it is read twice, first to be checked", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openOut opens the file of answers, which must not be that of the requests.
func (c *batchCmd) openOut(in *os.File) (*batchfile.Log, error) {
	if a, err := in.Stat(); err == nil {
		if b, err := os.Stat(c.Out); err == nil && os.SameFile(a, b) {
			return nil, fmt.Errorf("%s and %s are the same file", c.In, c.Out)
		}
	}
	out, err := batchfile.OpenLog(c.Out)
	if errors.Is(err, batchfile.ErrLocked) {
		return nil, fmt.Errorf("%w: is this batch running already?", err)
	}
	return out, err
}

const (
	// shownProblems is how many bad lines are told.
	shownProblems = 20
	// worthABar is the size of a file whose checking takes a while.
	worthABar = 256 << 20
)

// check reads all requests, and tells what is wrong with them.
func (c *batchCmd) check(ctx context.Context, std streams, in *os.File) (*batchfile.Index, error) {
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	r := &countingReader{ctx: ctx, r: in, total: info.Size(), told: func(int64, int64) {}}
	end := func(bool) {}
	if r.total >= worthABar {
		fmt.Fprintf(std.err, "checking %s\n", screen.Printable(c.In))
		r.told, end = showProgress(ctx, std.err)
	}
	index, err := batchfile.Check(r, batchfile.Rules{MaxLineBytes: 32 << 20})
	end(err == nil)
	bad, ok := errors.AsType[*batchfile.InvalidError](err)
	if !ok {
		return index, err
	}
	all := len(bad.Problems) + bad.More
	if p := bad.Problems[0]; p.Line == 0 {
		return nil, fmt.Errorf("%s: %w", c.In, p)
	}
	for _, p := range bad.Problems[:min(shownProblems, len(bad.Problems))] {
		fmt.Fprintf(std.err, "%s:%d: %s\n", screen.Printable(c.In), p.Line, screen.Printable(p.Message))
	}
	if more := all - shownProblems; more > 0 {
		fmt.Fprintf(std.err, "and %d more\n", more)
	}
	return nil, fmt.Errorf("%s: %s can't be sent; nothing was sent", c.In, count(all, "line"))
}

// countingReader tells how much was read, and ends with its context.
type countingReader struct {
	ctx         context.Context
	r           io.Reader
	done, total int64
	told        func(done, total int64)
}

func (c *countingReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.told(c.done, c.total)
	return n, err
}
