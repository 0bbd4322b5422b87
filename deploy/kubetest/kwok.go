//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// kwokNodes are machines with two GPUs each that exist in the API server alone.
const (
	kwokNodes   = 3
	gpusPerNode = 2
)

// kwok installs the chart with a GPU pool on machines that kwok plays: nothing
// runs, so this is about scheduling, disruption budgets and revisions.
func (c *cluster) kwok(ctx context.Context, repo string) error {
	args := []string{"--kubeconfig=" + c.kubeconfig, "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake", "--cidr=10.200.0.0/16"}
	stages, err := filepath.Glob(filepath.Join(filepath.Dir(c.bin), "kwok", "*.yaml"))
	if err != nil || len(stages) == 0 {
		return fmt.Errorf("no stages of kwok in the cache: %w", err)
	}
	var all strings.Builder // in one file: kwok takes one of a kind from each
	for _, s := range stages {
		raw, err := os.ReadFile(s)
		if err != nil {
			return err
		}
		fmt.Fprintf(&all, "---\n%s\n", raw)
	}
	if err := c.start(ctx, "kwok", append(args, "--config="+c.file("stages.yaml", all.String()))...); err != nil {
		return err
	}
	var nodes strings.Builder
	for i := range kwokNodes {
		fmt.Fprintf(&nodes, `---
apiVersion: v1
kind: Node
metadata:
  name: gpu-%[1]d
  annotations: {kwok.x-k8s.io/node: fake}
  labels: {kubernetes.io/hostname: gpu-%[1]d, accelerator: h100}
spec:
  taints: [{key: nvidia.com/gpu, effect: NoSchedule}]
status:
  allocatable: {cpu: "32", memory: 256Gi, pods: "100", nvidia.com/gpu: "%[2]d"}
  capacity: {cpu: "32", memory: 256Gi, pods: "100", nvidia.com/gpu: "%[2]d"}
`, i, gpusPerNode)
	}
	if _, err := c.runWith(ctx, nodes.String(), "kubectl", "apply", "-f", "-"); err != nil {
		return err
	}
	if _, err := c.run(ctx, "kubectl", "wait", "--for=condition=Ready", "--timeout=1m", "node/gpu-0", "node/gpu-1", "node/gpu-2"); err != nil {
		return err
	}
	if _, err := c.run(ctx, "kubectl", "create", "namespace", "gpu"); err != nil {
		return err
	}
	r := release{c, "gpu", "gpu", filepath.Join(repo, "deploy/helm/sullae")}
	toleration := `[{"key":"nvidia.com/gpu","operator":"Exists","effect":"NoSchedule"}]`
	values := c.file("gpu.yaml", fmt.Sprintf(`
image: {tag: one, gpu: {tag: one}}
coordinator: {tolerations: %[1]s, nodeSelector: {accelerator: h100}}
etcd: {bundled: {persistence: {enabled: false}, tolerations: %[1]s, nodeSelector: {accelerator: h100}}}
workers:
  defaults: {tolerations: %[1]s}
  pools:
  - {name: h100, kind: cuda, replicas: 5, gpus: 1, nodeSelector: {accelerator: h100}}
`, toleration))
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"a pool of 5 GPU workers is placed on 3 machines with 2 GPUs each", func() error {
			if _, err := c.run(ctx, "helm", "install", "gpu", r.chart, "-n", "gpu", "-f", values, "--wait", "--timeout", "2m"); err != nil {
				return err
			}
			return r.spread(ctx, 5)
		}},
		{"7 workers are one too many: it waits for a GPU, the others run", func() error {
			// --wait would wait for it; this is what an operator sees without.
			if _, err := c.run(ctx, "helm", "upgrade", "gpu", r.chart, "-n", "gpu", "--reuse-values", "--set", "workers.replicas.h100=7"); err != nil {
				return err
			}
			if err := r.pending(ctx, 1, "Insufficient nvidia.com/gpu"); err != nil {
				return err
			}
			if _, err := c.run(ctx, "helm", "upgrade", "gpu", r.chart, "-n", "gpu", "--reuse-values", "--set", "workers.replicas.h100=5", "--wait", "--timeout", "2m"); err != nil {
				return err
			}
			return r.spread(ctx, 5)
		}},
		{"a machine is drained, one worker waits for a GPU; a second machine is refused by the disruption budget", func() error { return r.drain(ctx) }},
		{"upgrade and rollback", func() error { return r.rollback(ctx, values) }},
	} {
		began := time.Now()
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		say("kwok: %s: %.1f s", step.what, time.Since(began).Seconds())
	}
	_, err = c.run(ctx, "helm", "uninstall", "gpu", "-n", "gpu", "--wait")
	return err
}

// workers are the nodes of the pool's running pods.
func (r release) workers(ctx context.Context) ([]string, error) {
	out, err := r.kubectl(ctx, "get", "pods", "-l", "sullae.dev/pool=h100", "--field-selector=status.phase=Running", "-o", "jsonpath={.items[*].spec.nodeName}")
	return strings.Fields(out), err
}

// spread checks that n workers run, on GPU machines alone, none on more GPUs than
// it has.
func (r release) spread(ctx context.Context, n int) error {
	return await(ctx, time.Minute, fmt.Sprintf("%d workers", n), func() error {
		on, err := r.workers(ctx)
		if err != nil {
			return err
		}
		count := map[string]int{}
		for _, node := range on {
			if count[node]++; count[node] > gpusPerNode || !strings.HasPrefix(node, "gpu-") {
				return fmt.Errorf("%d workers on %s", count[node], node)
			}
		}
		if len(on) != n || len(count) != kwokNodes {
			return fmt.Errorf("%d workers on %d machines", len(on), len(count))
		}
		return nil
	})
}

// pending waits until n workers cannot be placed, for a reason.
func (r release) pending(ctx context.Context, n int, why string) error {
	return await(ctx, time.Minute, "a worker that waits", func() error {
		out, err := r.kubectl(ctx, "get", "pods", "-l", "sullae.dev/pool=h100", "--field-selector=status.phase=Pending",
			"-o", `jsonpath={range .items[*]}{.status.conditions[?(@.type=="PodScheduled")].message}{"\n"}{end}`)
		if err != nil {
			return err
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != n || !strings.Contains(lines[0], why) {
			return fmt.Errorf("waiting: %q", lines)
		}
		return nil
	})
}

// drain empties a machine, whose workers then need one GPU more than there is,
// and a second one, which the disruption budget must refuse.
func (r release) drain(ctx context.Context) error {
	empty := func(node string, within string) (string, error) {
		return r.c.run(ctx, "kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force",
			"--pod-selector=sullae.dev/pool=h100", "--timeout="+within)
	}
	if _, err := empty("gpu-0", "1m"); err != nil {
		return err
	}
	if err := r.pending(ctx, 1, "Insufficient nvidia.com/gpu"); err != nil {
		return err
	}
	if out, err := empty("gpu-1", "8s"); err == nil || !strings.Contains(out, "disruption budget") {
		return fmt.Errorf("a second worker was let go: %v %s", err, out)
	}
	on, err := r.workers(ctx)
	if err != nil || len(on) != 4 {
		return fmt.Errorf("workers on %v, want 4: %w", on, err)
	}
	// Machines come back, and with them the worker that waited.
	if _, err := r.c.run(ctx, "kubectl", "uncordon", "gpu-0", "gpu-1"); err != nil {
		return err
	}
	return await(ctx, time.Minute, "five workers again", func() error {
		on, err := r.workers(ctx)
		if err == nil && len(on) != 5 {
			err = fmt.Errorf("workers on %v", on)
		}
		return err
	})
}

// rollback upgrades every image and goes back to the revision before.
func (r release) rollback(ctx context.Context, values string) error {
	tags := func(want string) error {
		return await(ctx, time.Minute, "every pod has the tag "+want, func() error {
			out, err := r.kubectl(ctx, "get", "pods", "-l", "app.kubernetes.io/component in (coordinator,worker)", "-o", "jsonpath={.items[*].spec.containers[*].image}")
			if err != nil {
				return err
			}
			for _, image := range strings.Fields(out) {
				if !strings.HasSuffix(image, ":"+want) {
					return fmt.Errorf("a pod has %s", image)
				}
			}
			return nil
		})
	}
	before, err := r.c.run(ctx, "helm", "history", "gpu", "-n", "gpu", "--max", "1", "-o", "json")
	if err != nil {
		return err
	}
	_, after, _ := strings.Cut(before, `"revision":`)
	revision, err := strconv.Atoi(strings.TrimSpace(after[:strings.IndexAny(after, ",}")]))
	if err != nil {
		return fmt.Errorf("helm history: %s", before)
	}
	if _, err := r.c.run(ctx, "helm", "upgrade", "gpu", r.chart, "-n", "gpu", "--reuse-values", "--set", "image.tag=two,image.gpu.tag=two", "--wait", "--timeout", "2m"); err != nil {
		return err
	}
	if err := tags("two"); err != nil {
		return err
	}
	if _, err := r.c.run(ctx, "helm", "rollback", "gpu", strconv.Itoa(revision), "-n", "gpu", "--wait", "--timeout", "2m"); err != nil {
		return err
	}
	return tags("one")
}
