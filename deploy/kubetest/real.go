//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// small are the values of a release that shares two cores with its control plane.
var small = []string{"image.repository=" + repository, "image.tag=" + first, "image.pullPolicy=Never",
	"etcd.bundled.image.repository=" + etcdImage, "etcd.bundled.image.tag=test", "etcd.bundled.persistence.storageClass=kubetest",
	"workers.defaults.resources.requests.cpu=50m", "workers.defaults.resources.requests.memory=64Mi", "workers.defaults.threads=1",
	"coordinator.resources.requests.cpu=50m", "coordinator.resources.requests.memory=64Mi"}

// pool is a pool that is not the default one.
var pool = []string{"workers.pools[0].name=cpu", "workers.pools[0].replicas=2", "workers.pools[0].podLabels.team=llm", "workers.pools[0].packCache.limit=1GiB"}

// release is the chart, installed.
type release struct {
	c               *cluster
	name, namespace string
	chart           string
}

// fullname is what the release's objects are called by.
func (r release) fullname() string { return r.name + "-sullae" }

// helm runs install or upgrade, and waits for it.
func (r release) helm(ctx context.Context, args ...string) error {
	_, err := r.c.run(ctx, "helm", slices.Concat(args[:1], []string{r.name, r.chart, "-n", r.namespace, "--wait", "--timeout", "4m"}, args[1:])...)
	return err
}

// set makes helm's arguments of values.
func set(values ...string) (args []string) {
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return args
}

func (r release) kubectl(ctx context.Context, args ...string) (string, error) {
	return r.c.run(ctx, "kubectl", append([]string{"-n", r.namespace}, args...)...)
}

// volume is a claim's volume on this machine: there is no provisioner.
func (c *cluster) volume(ctx context.Context, name string) error {
	dir := filepath.Join(c.work, "volumes", name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := os.Chown(dir, 65532, 65532); err != nil { // a host path takes no fsGroup
		return err
	}
	_, err := c.runWith(ctx, fmt.Sprintf(`apiVersion: v1
kind: PersistentVolume
metadata: {name: %s}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: kubetest, hostPath: {path: %q}}
`, name, dir), "kubectl", "apply", "-f", "-")
	return err
}

// machine starts the node of this machine, and gives it the images; a second call
// does nothing.
func (c *cluster) machine(ctx context.Context, repo string) error {
	if c.hasMachine {
		return nil
	}
	c.hasMachine = true
	began := time.Now()
	if err := c.node(ctx); err != nil {
		return err
	}
	if err := c.images(ctx, repo); err != nil {
		return err
	}
	err := await(ctx, time.Minute, "the node is ready", func() error {
		_, err := c.run(ctx, "kubectl", "wait", "--for=condition=Ready", "--timeout=1s", "node/"+nodeName)
		return err
	})
	if err != nil {
		return err
	}
	say("node and images after %.1f s", time.Since(began).Seconds())
	return nil
}

// real installs the chart on the node of this machine and disturbs it.
func (c *cluster) real(ctx context.Context, repo string) error {
	if err := c.volume(ctx, "etcd"); err != nil {
		return err
	}
	// Restricted pod security: what the chart's contexts must satisfy.
	if _, err := c.runWith(ctx, "apiVersion: v1\nkind: Namespace\nmetadata: {name: demo, labels: {pod-security.kubernetes.io/enforce: restricted}}\n", "kubectl", "apply", "-f", "-"); err != nil {
		return err
	}
	r := release{c, "demo", "demo", filepath.Join(repo, "deploy/helm/sullae")}
	began := time.Now()
	if err := r.helm(ctx, slices.Concat([]string{"install"}, set(small...), set(pool...))...); err != nil {
		return err
	}
	say("installed in %.1f s", time.Since(began).Seconds())
	if _, err := c.run(ctx, "helm", "test", r.name, "-n", r.namespace, "--logs"); err != nil {
		return err
	}
	say("helm test passes")

	stranger, err := c.stranger(ctx)
	if err != nil {
		return err
	}
	if err := r.knock(ctx, stranger, false); err != nil {
		return err
	}
	if err := c.enforce(ctx, repo); err != nil {
		return err
	}
	if err := await(ctx, 30*time.Second, "network policies are enforced", func() error { return r.knock(ctx, stranger, true) }); err != nil {
		return err
	}
	say("from here on network policies are enforced: a stranger reaches the APIs, health and metrics, and no other port of %d", len(doors))
	a, err := r.access(ctx, nil, "")
	if err != nil {
		return err
	}
	l, err := newLoad(ctx, a)
	if err != nil {
		return err
	}
	c.want = l.want
	if err := l.start(ctx, false); err != nil {
		return err
	}
	defer func() { l.stop() }()
	// One number is said; all else that was set stays.
	scale := func(n int, values string) func() error {
		return func() error {
			if err := r.helm(ctx, "upgrade", values, "--set", fmt.Sprintf("workers.pools[0].replicas=%d", n)); err != nil {
				return err
			}
			out, err := r.kubectl(ctx, "get", "statefulset", "demo-sullae-cpu", "-o", "jsonpath={.spec.replicas} {.spec.template.metadata.labels.team} {.spec.template.spec.containers[0].args}")
			if err != nil {
				return err
			}
			if !strings.HasPrefix(out, fmt.Sprintf("%d llm ", n)) || !strings.Contains(out, "--pack-cache-size=1GiB") {
				return fmt.Errorf("the pool has lost its settings: %s", out)
			}
			return a.ranks(ctx, n)
		}
	}
	for _, s := range []struct {
		what string
		do   func() error
	}{
		{"scale 2 to 4", scale(4, "--reuse-values")},
		{"scale 4 to 3", scale(3, "--reset-then-reuse-values")},
		{"upgrade all images", func() error {
			if err := r.helm(ctx, "upgrade", "--reuse-values", "--set", "image.tag="+second); err != nil {
				return err
			}
			if err := r.imagesAre(ctx, second); err != nil {
				return err
			}
			return a.ranks(ctx, 3)
		}},
		{"delete etcd's pod", func() error {
			before, err := r.restarts(ctx)
			if err != nil {
				return err
			}
			if _, err := r.kubectl(ctx, "delete", "pod", "demo-sullae-etcd-0"); err != nil {
				return err
			}
			if _, err := r.kubectl(ctx, "rollout", "status", "statefulset/demo-sullae-etcd", "--timeout=2m"); err != nil {
				return err
			}
			if after, err := r.restarts(ctx); err != nil || after != before {
				return fmt.Errorf("containers were restarted for want of etcd: %s, before %s: %w", after, before, err)
			}
			return a.ranks(ctx, 3)
		}},
		{"kill a worker's process", func() error {
			if err := r.kill(ctx, "demo-sullae-cpu-2"); err != nil {
				return err
			}
			return a.ranks(ctx, 3)
		}},
		{"delete a worker's pod by force", func() error {
			if _, err := r.kubectl(ctx, "delete", "pod", "demo-sullae-cpu-1", "--grace-period=0", "--force"); err != nil {
				return err
			}
			if err := a.ranks(ctx, 3); err != nil {
				return err
			}
			_, err := r.kubectl(ctx, "rollout", "status", "statefulset/demo-sullae-cpu", "--timeout=2m")
			return err
		}},
	} {
		if err := l.during(ctx, s.what, s.do); err != nil {
			return err
		}
	}
	l.stop()
	// A leader that is killed takes its connections with it; who can resume does.
	if err := l.start(ctx, true); err != nil {
		return err
	}
	err = l.during(ctx, "kill the leading coordinator's process", func() error {
		s, err := a.status(ctx)
		if err != nil {
			return err
		}
		return r.kill(ctx, s.Coordinator)
	})
	if err != nil {
		return err
	}
	l.stop()
	if _, err := c.run(ctx, "helm", "uninstall", r.name, "-n", r.namespace, "--wait"); err != nil {
		return err
	}
	return r.gone(ctx)
}

// kill ends a pod's process by SIGKILL and waits until the kubelet has started it
// again.
func (r release) kill(ctx context.Context, pod string) error {
	field := func(name string) (string, error) {
		return r.kubectl(ctx, "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0]."+name+"}")
	}
	id, err := field("containerID")
	if err != nil {
		return err
	}
	before, err := field("restartCount")
	if err != nil {
		return err
	}
	if _, err := r.c.run(ctx, "ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", strings.TrimPrefix(id, "containerd://")); err != nil {
		return err
	}
	return await(ctx, time.Minute, pod+" runs again", func() error {
		now, err := field("restartCount")
		if err != nil {
			return err
		}
		ready, err := field("ready")
		if err == nil && (now == before || ready != "true") {
			err = fmt.Errorf("%s restarts, ready %s", now, ready)
		}
		return err
	})
}

// restarts are those of all coordinators and workers.
func (r release) restarts(ctx context.Context) (string, error) {
	return r.kubectl(ctx, "get", "pods", "-l", "app.kubernetes.io/component in (coordinator,worker)", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}")
}

// imagesAre checks that every container of the project runs the tag, and waits
// for the last old pods to end.
func (r release) imagesAre(ctx context.Context, tag string) error {
	return await(ctx, 2*time.Minute, "every pod has the new image", func() error {
		out, err := r.kubectl(ctx, "get", "pods", "-l", "app.kubernetes.io/component in (coordinator,worker)", "-o", "jsonpath={.items[*].spec.containers[*].image}")
		if err != nil {
			return err
		}
		for _, image := range strings.Fields(out) {
			if image != repository+":"+tag {
				return fmt.Errorf("a pod has %s", image)
			}
		}
		return nil
	})
}

// gone checks that an uninstalled release leaves no objects but claims and the pod of the last test.
func (r release) gone(ctx context.Context) error {
	return await(ctx, 2*time.Minute, "nothing is left", func() error {
		out, err := r.kubectl(ctx, "get", "all,secret,networkpolicy,pdb,serviceaccount,configmap", "-l", "app.kubernetes.io/component!=test,app.kubernetes.io/instance="+r.name, "-o", "name")
		if err == nil && strings.TrimSpace(out) != "" {
			err = fmt.Errorf("left: %s", out)
		}
		return err
	})
}
