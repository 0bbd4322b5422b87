//go:build linux

// Command kubetest installs the Helm chart on a real control plane with a real
// kubelet and containerd, in namespaces of its own on this machine, and disturbs
// it under load; with kwok it looks at what needs many nodes. `make kube-test`
// runs it. It needs root, Go and a few Debian packages, which it names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sullae/sullae/deploy/internal/program"
)

var (
	cacheDir  = flag.String("cache", "", "folder of the Kubernetes programs, filled when empty; default ~/.cache/sullae/kube")
	workDir   = flag.String("work", "", "folder for everything else; default: a temporary one, removed at the end")
	only      = flag.String("only", "", "real, secured, guide or kwok: run one part")
	proxyMode = flag.String("proxy-mode", "iptables", "kube-proxy's mode")
	limit     = flag.Duration("limit", 20*time.Minute, "the longest that the test may take, building programs apart")
)

func main() {
	flag.Parse()
	err := outside()
	if inside := os.Getenv(insideEnv); inside != "" {
		err = within(inside)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kube-test:", err)
		os.Exit(1)
	}
}

// outside makes what needs the network, and enters the namespaces.
func outside() (err error) {
	if os.Getenv(insideEnv) != "" {
		return nil
	}
	if err := checkHost(); err != nil {
		return err
	}
	repo, err := os.Getwd()
	if err != nil || !exists("deploy/helm/sullae/Chart.yaml") {
		return errors.Join(err, errors.New("run it in the repository's root"))
	}
	if *cacheDir == "" {
		if *cacheDir, err = program.Cache(); err != nil {
			return err
		}
	}
	if _, err := program.Build(*cacheDir, say, programs...); err != nil {
		return err
	}
	if err := kwokStages(*cacheDir); err != nil {
		return err
	}
	work := *workDir
	if work == "" {
		if work, err = os.MkdirTemp("", "sullae-kubetest-"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(work)
			} else {
				fmt.Fprintf(os.Stderr, "kube-test: logs are in %s\n", filepath.Join(work, "logs"))
			}
		}()
	}
	if err := os.MkdirAll(filepath.Join(work, "logs"), 0o755); err != nil {
		return err
	}
	if err := compile(repo, work); err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	if err := makeCgroups(); err != nil {
		return err
	}
	os.Setenv("SULLAE_KUBETEST_CACHE", *cacheDir)
	return enter(work)
}

// within is the first process of the namespaces.
func within(work string) (err error) {
	// Only what this program starts is its child; orphans of shims are reaped as the
	// namespace ends.
	repo, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := private(work); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	c := &cluster{work: work, logs: filepath.Join(work, "logs"), bin: filepath.Join(os.Getenv("SULLAE_KUBETEST_CACHE"), "bin"),
		kubeconfig: filepath.Join(work, "kubeconfig"), fail: fail}
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
			err = errors.Join(err, cause)
		}
	}()
	began := time.Now()
	if err := c.network(ctx); err != nil {
		return err
	}
	if err := c.controlPlane(ctx); err != nil {
		return err
	}
	say("control plane after %.1f s", time.Since(began).Seconds())
	for _, part := range []struct {
		name  string
		parts []func(context.Context, string) error
	}{{"real", []func(context.Context, string) error{c.machine, c.real}}, {"secured", []func(context.Context, string) error{c.machine, c.enforce, c.secured}}, {"guide", []func(context.Context, string) error{c.machine, c.guide}}, {"kwok", []func(context.Context, string) error{c.kwok}}} {
		if *only != "" && *only != part.name {
			continue
		}
		for _, f := range part.parts {
			if err := f(ctx, repo); err != nil {
				return errors.Join(err, errors.New(c.picture()))
			}
		}
	}
	say("passed in %.0f s", time.Since(began).Seconds())
	return nil
}

// picture is the cluster's state, for who reads a failure.
func (c *cluster) picture() string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var b strings.Builder
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"get", "events", "-A", "--sort-by=.lastTimestamp", "-o", "custom-columns=T:.lastTimestamp,O:.involvedObject.name,R:.reason,M:.message"},
		{"logs", "-n", "demo", "-l", "app.kubernetes.io/part-of=sullae", "--tail=12", "--prefix", "--max-log-requests=20"},
		{"logs", "-n", "secured", "-l", "app.kubernetes.io/part-of=sullae", "--tail=12", "--prefix", "--max-log-requests=20"},
	} {
		out, _ := c.run(ctx, "kubectl", args...)
		lines := strings.Split(out, "\n")
		fmt.Fprintf(&b, "--- kubectl %s\n%s\n", strings.Join(args, " "), strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
	return b.String()
}
