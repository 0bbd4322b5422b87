//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// section is the part of docs/operate.md whose commands are run.
const section = "## On Kubernetes\n"

// guide runs every line of the operators' guide to Kubernetes, as it stands
// there: TLS and keys on the APIs, three members of etcd, monitoring, and the life
// of the installation.
func (c *cluster) guide(ctx context.Context, repo string) error {
	began := time.Now()
	script, err := commands(filepath.Join(repo, "docs/operate.md"))
	if err != nil {
		return err
	}
	for i := range 3 {
		if err := c.volume(ctx, fmt.Sprint("etcd-guide-", i)); err != nil {
			return err
		}
	}
	if err := c.monitoringKinds(ctx); err != nil {
		return err
	}
	dir := filepath.Join(c.work, "guide")
	// helm, with what makes a release fit this machine and its images.
	wrapper := fmt.Sprintf("#!/bin/sh\nverb=$1; shift\ncase $verb in install|upgrade) set -- --set '%s' \"$@\";; esac\nexec %s/helm $verb \"$@\"\n", strings.Join(small, ","), c.bin)
	c.file("guide/path/helm", wrapper)
	for _, err := range []error{
		os.Chmod(filepath.Join(dir, "path/helm"), 0o755),
		os.Symlink(c.sullae(), filepath.Join(dir, "path/sullae")),
		os.Symlink(filepath.Join(repo, "deploy"), filepath.Join(dir, "deploy")),
	} {
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euxo", "pipefail", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "PATH="+filepath.Join(dir, "path")+":"+c.bin+":"+os.Getenv("PATH"),
		"HELM_CACHE_HOME="+c.work, "HELM_CONFIG_HOME="+c.work, "HELM_DATA_HOME="+c.work)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with the tunnels in the background
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	log, err := os.Create(filepath.Join(c.logs, "guide.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	watch := make(chan error, 1)
	go func() { watch <- c.refuses(ctx) }()
	err = cmd.Run()
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err != nil {
		return fmt.Errorf("docs/operate.md, %s: %w\n%s", strings.TrimSpace(section), err, tail(log.Name(), 30))
	}
	if err := <-watch; err != nil {
		return err
	}
	say("every line of docs/operate.md on Kubernetes, secured and monitored: %.1f s", time.Since(began).Seconds())
	return nil
}

// commands are the indented lines of the section.
func commands(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	_, text, ok := strings.Cut(string(raw), section)
	if !ok {
		return "", fmt.Errorf("%s has no section %q", file, strings.TrimSpace(section))
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var out strings.Builder
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			out.WriteString(command)
		}
	}
	return out.String(), nil
}

// refuses waits until the guide's installation serves, and checks that without a
// key all but health is refused.
func (c *cluster) refuses(ctx context.Context) error {
	var ip string
	err := await(ctx, 3*time.Minute, "the guide's service", func() (err error) {
		ip, err = c.run(ctx, "kubectl", "-n", "llm", "get", "service", "sullae", "-o", "jsonpath={.spec.clusterIP}")
		if err != nil {
			return err
		}
		return answers("https://"+ip+":8080/livez", http.StatusOK)
	})
	if err != nil {
		return err
	}
	for _, path := range []string{"/v1/models", "/metrics", "/cluster/status", "/v1/completions"} {
		err = errors.Join(err, answers("https://"+ip+":8080"+path, http.StatusUnauthorized))
	}
	return err
}

// monitoringKinds makes the kinds of the Prometheus operator known to the API
// server; nothing acts on them.
func (c *cluster) monitoringKinds(ctx context.Context) error {
	var all strings.Builder
	for kind, plural := range map[string]string{"ServiceMonitor": "servicemonitors", "PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"} {
		fmt.Fprintf(&all, `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[2]s.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: %[1]s, plural: %[2]s}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`, kind, plural)
	}
	if _, err := c.runWith(ctx, all.String(), "kubectl", "apply", "-f", "-"); err != nil {
		return err
	}
	_, err := c.run(ctx, "kubectl", "wait", "--for=condition=Established", "--timeout=1m", "crd", "--all")
	return err
}
