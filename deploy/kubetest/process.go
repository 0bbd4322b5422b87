//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// say reports progress.
func say(format string, args ...any) {
	fmt.Printf("%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// start runs a part of the cluster; it ends with the namespaces. Its output goes
// to a file of its own. If it ends by itself the whole test fails.
func (c *cluster) start(ctx context.Context, name string, args ...string) error {
	return c.startAs(ctx, name, nil, name, args...)
}

// startAs is start under another name than the program's, with more environment.
func (c *cluster) startAs(ctx context.Context, as string, env []string, name string, args ...string) error {
	log, err := os.Create(filepath.Join(c.logs, as+".log"))
	if err != nil {
		return err
	}
	path := name
	if built := filepath.Join(c.bin, name); exists(built) {
		path = built
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(append(os.Environ(), "KUBECONFIG="+c.kubeconfig), env...)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { // ends with the process
		err := cmd.Wait()
		log.Close()
		if ctx.Err() == nil {
			c.fail(fmt.Errorf("%s ended: %v (its log: %s)\n%s", as, err, log.Name(), tail(log.Name(), 15)))
		}
	}()
	return nil
}

// run runs a command to its end; an error has its output.
func (c *cluster) run(ctx context.Context, name string, args ...string) (string, error) {
	return c.runWith(ctx, "", name, args...)
}

// runWith is run with an input.
func (c *cluster) runWith(ctx context.Context, input, name string, args ...string) (string, error) {
	path := name
	if built := filepath.Join(c.bin, name); exists(built) {
		path = built
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "HELM_CACHE_HOME="+c.work, "HELM_CONFIG_HOME="+c.work, "HELM_DATA_HOME="+c.work)
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// await asks until f is nil; what says what is awaited.
func await(ctx context.Context, within time.Duration, what string, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if cause := context.Cause(ctx); cause != context.DeadlineExceeded {
				return cause
			}
			return fmt.Errorf("%s: not within %v: %w", what, within, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// healthy asks an HTTP(S) URL of a part of the cluster.
func healthy(url string) error { return answers(url, http.StatusOK) }

// answers checks an HTTP(S) URL's status.
func answers(url string, status int) error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != status {
		return fmt.Errorf("%s: %s, want %d", url, res.Status, status)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// tail is the end of a file.
func tail(path string, lines int) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
