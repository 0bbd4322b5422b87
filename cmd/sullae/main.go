// Command sullae serves EXAONE-class language models from a cluster of
// machines, and talks to such a cluster. `sullae --help` lists its commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sullae/sullae/collective/nodetls"
	"github.com/sullae/sullae/collective/registry"
)

// cli is every command and flag; each command has a file of its own.
type cli struct {
	Up          upCmd          `cmd:"" help:"Serve a model on this machine: a coordinator and workers as separate processes."`
	Coordinator coordinatorCmd `cmd:"" help:"Run a coordinator: it places workers, drives them, and serves the APIs."`
	Worker      workerCmd      `cmd:"" help:"Run a worker: it holds a share of the model and computes."`
	Chat        chatCmd        `cmd:"" help:"Talk to a served model in the terminal."`
	Generate    generateCmd    `cmd:"" help:"Continue a prompt."`
	Batch       batchCmd       `cmd:"" help:"Answer a file of requests; it may be killed and goes on where it was."`
	Drain       drainCmd       `cmd:"" help:"Take a worker out of the group; its requests go on."`
	Top         topCmd         `cmd:"" help:"Watch the cluster live: workers, ranks, steps, queue, KV."`
	Status      statusCmd      `cmd:"" help:"Show the cluster: workers, epoch, plan, health."`
	Check       checkCmd       `cmd:"" help:"Check a served cluster: health, one completion, one gRPC stream, workers."`
	Model       modelCmd       `cmd:"" help:"Look at, plan or make model folders."`
	Bench       benchCmd       `cmd:"" help:"Measure a server under load."`
	Chaos       chaosCmd       `cmd:"" help:"Disturb a cluster on this machine, and hold it to its promises."`
	Eval        evalCmd        `cmd:"" help:"Measure a model: perplexity, multiple choice, the loss of quantizing."`
	Certs       certsCmd       `cmd:"" help:"Make certificates for the nodes of a cluster."`
	Keys        keysCmd        `cmd:"" help:"Make and remove API keys."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

func main() {
	ctx := untilSignalled()
	var c cli
	parser, err := newParser(ctx, &c)
	if err != nil {
		panic(err)
	}
	k, err := parse(parser, os.Args[1:])
	parser.FatalIfErrorf(err)
	if err := k.Run(); err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			os.Exit(130)
		}
		fmt.Fprintln(os.Stderr, "sullae: error:", err)
		var code kong.ExitCoder
		if errors.As(err, &code) {
			os.Exit(code.ExitCode())
		}
		os.Exit(1)
	}
}

// newParser reads a command line, and flags from the environment, into c; the
// command runs with ctx.
func newParser(ctx context.Context, c *cli) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("sullae"),
		kong.Description("Tensor-parallel serving of EXAONE-class models. The same request gives the same tokens, bit for bit."),
		kong.ShortUsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.DefaultEnvars("SULLAE"),
		kong.Vars{"etcd_prefix": registry.DefaultPrefix, "node_name": nodetls.DefaultName},
	)
}

// parse reads a command line, and refuses what its flags' bounds do not allow.
func parse(parser *kong.Kong, args []string) (*kong.Context, error) {
	k, err := parser.Parse(args)
	if err == nil {
		err = checkLeast(k)
	}
	return k, err
}

// asked is the end of a server: no error where it was asked to end, however far it
// had come.
func asked(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// patience is how long after the first signal another Ctrl-C is taken to mean
// that an orderly end takes too long.
const patience = time.Second

// untilSignalled is a context that SIGINT or SIGTERM ends; commands then end in
// order, within a bounded time. Signals often come twice (a terminal and a
// wrapper both send one), so only a Ctrl-C some time later ends the process at
// once.
func untilSignalled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-goRunEnded():
		}
		cancel()
		first := time.Now()
		for s := range signals {
			if s == os.Interrupt && time.Since(first) > patience {
				os.Exit(130)
			}
		}
	}()
	return ctx
}

// goRunEnded is closed when this process was started by `go run` and that has
// ended: it does not pass a SIGTERM on. Under any other parent it never is.
func goRunEnded() <-chan struct{} {
	parent := os.Getppid()
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	if err != nil || strings.TrimSpace(string(comm)) != "go" {
		return nil
	}
	ended := make(chan struct{})
	go func() { // ends with the parent, or with the process
		for os.Getppid() == parent {
			time.Sleep(200 * time.Millisecond)
		}
		close(ended)
	}()
	return ended
}
