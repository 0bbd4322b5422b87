//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sullae/sullae/coordinator/status"
)

// small are the values of a release that shares two cores with its control plane.
var small = []string{"image.repository=" + repository, "image.tag=" + first, "image.pullPolicy=Never",
	"etcd.bundled.image.repository=" + etcdImage, "etcd.bundled.image.tag=test", "etcd.bundled.persistence.storageClass=kubetest",
	"workers.defaults.resources.requests.cpu=50m", "workers.defaults.resources.requests.memory=64Mi", "workers.defaults.threads=1",
	"coordinator.resources.requests.cpu=50m", "coordinator.resources.requests.memory=64Mi"}

// release is the chart, installed.
type release struct {
	c               *cluster
	name, namespace string
	chart           string
}

// helm runs install or upgrade with values set.
func (r release) helm(ctx context.Context, verb string, sets ...string) error {
	args := []string{verb, r.name, r.chart, "-n", r.namespace, "--wait", "--timeout", "4m"}
	if verb == "upgrade" {
		args = append(args, "--reuse-values")
	}
	for _, s := range sets {
		args = append(args, "--set", s)
	}
	_, err := r.c.run(ctx, "helm", args...)
	return err
}

func (r release) kubectl(ctx context.Context, args ...string) (string, error) {
	return r.c.run(ctx, "kubectl", append([]string{"-n", r.namespace}, args...)...)
}

// clusterStatus is what the leader says.
func clusterStatus(ctx context.Context, url string) (s status.Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, 12*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/cluster/status", nil)
	if err != nil {
		return s, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	return s, json.NewDecoder(res.Body).Decode(&s)
}

// awaitRanks waits until the group serves with n ranks.
func awaitRanks(ctx context.Context, url string, n int) error {
	return await(ctx, 2*time.Minute, fmt.Sprintf("a group of %d", n), func() error {
		s, err := clusterStatus(ctx, url)
		if err != nil {
			return err
		}
		if s.Group.Phase != "serving" || s.Group.WorldSize != n {
			return fmt.Errorf("%s with %d ranks: %s", s.Group.Phase, s.Group.WorldSize, s.Group.Reason)
		}
		return nil
	})
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
	err := r.helm(ctx, "install", small...)
	if err != nil {
		return err
	}
	say("installed in %.1f s", time.Since(began).Seconds())
	if _, err := c.run(ctx, "helm", "test", r.name, "-n", r.namespace, "--logs"); err != nil {
		return err
	}
	say("helm test passes")

	ip, err := r.kubectl(ctx, "get", "service", "demo-sullae", "-o", "jsonpath={.spec.clusterIP}")
	if err != nil {
		return err
	}
	url := "http://" + ip + ":8080"
	l, err := newLoad(ctx, url, ip+":9090")
	if err != nil {
		return err
	}
	if err := l.start(ctx, false); err != nil {
		return err
	}
	defer func() { l.stop() }()
	scale := func(n int) func() error {
		return func() error {
			if err := r.helm(ctx, "upgrade", fmt.Sprintf("workers.pools[0].replicas=%d", n)); err != nil {
				return err
			}
			return awaitRanks(ctx, url, n)
		}
	}
	for _, s := range []struct {
		what string
		do   func() error
	}{
		{"scale 2 to 4", scale(4)},
		{"scale 4 to 3", scale(3)},
		{"upgrade all images", func() error {
			if err := r.helm(ctx, "upgrade", "image.tag="+second); err != nil {
				return err
			}
			if err := r.imagesAre(ctx, second); err != nil {
				return err
			}
			return awaitRanks(ctx, url, 3)
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
			return awaitRanks(ctx, url, 3)
		}},
		{"kill a worker's process", func() error {
			if err := r.kill(ctx, "demo-sullae-cpu-2"); err != nil {
				return err
			}
			return awaitRanks(ctx, url, 3)
		}},
		{"delete a worker's pod by force", func() error {
			if _, err := r.kubectl(ctx, "delete", "pod", "demo-sullae-cpu-1", "--grace-period=0", "--force"); err != nil {
				return err
			}
			if err := awaitRanks(ctx, url, 3); err != nil {
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
		s, err := clusterStatus(ctx, url)
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
