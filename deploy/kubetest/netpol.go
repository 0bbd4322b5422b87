//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// queue is the netfilter queue of the program that enforces network policies.
const queue = "100"

// enforce starts what enforces network policies: a program of Kubernetes' own
// that judges the first packet of each connection. It takes them from a queue;
// its nftables rule for that needs a kernel with nft_queue, so here iptables puts
// them there: all that pods send to each other, and to the node.
// A second call does nothing.
func (c *cluster) enforce(ctx context.Context, _ string) error {
	if c.enforces {
		return nil
	}
	c.enforces = true
	// It runs as if in a pod.
	account := "/var/run/secrets/kubernetes.io/serviceaccount"
	ca, err := os.ReadFile(filepath.Join(c.work, "apiserver", "apiserver.crt"))
	if err != nil {
		return err
	}
	for name, content := range map[string]string{"token": token, "ca.crt": string(ca), "namespace": "default"} {
		if err := errors.Join(os.MkdirAll(account, 0o755), os.WriteFile(filepath.Join(account, name), []byte(content), 0o600)); err != nil {
			return err
		}
	}
	err = c.startAs(ctx, "kube-network-policies", []string{"KUBERNETES_SERVICE_HOST=" + nodeIP, "KUBERNETES_SERVICE_PORT=6443"},
		"kube-network-policies", "--hostname-override="+nodeName, "--nfqueue-id="+queue, "--metrics-bind-address=127.0.0.1:9080", "--netfilter-bug-1766-fix=false", "--v=2")
	if err != nil {
		return err
	}
	err = await(ctx, time.Minute, "a queue for packets", func() error {
		raw, err := os.ReadFile("/proc/net/netfilter/nfnetlink_queue")
		if err == nil && !strings.HasPrefix(strings.TrimSpace(string(raw)), queue) {
			err = fmt.Errorf("queues: %q", raw)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, chain := range [][]string{{"FORWARD"}, {"INPUT", "-s", podCIDR}} {
		args := append([]string{"-t", "mangle", "-A"}, chain...)
		if _, err := c.run(ctx, "iptables", append(args, "-m", "conntrack", "--ctstate", "NEW", "-j", "NFQUEUE", "--queue-num", queue)...); err != nil {
			return err
		}
	}
	return nil
}

// stranger is a pod that has nothing to do with any release.
func (c *cluster) stranger(ctx context.Context) (release, error) {
	r := release{c: c, name: "stranger", namespace: "stranger"}
	_, err := c.runWith(ctx, fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: stranger}}
---
{apiVersion: v1, kind: Pod, metadata: {name: stranger, namespace: stranger}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: pause, image: %q, imagePullPolicy: Never}]}}
`, pauseImage), "kubectl", "apply", "-f", "-")
	if err != nil {
		return r, err
	}
	_, err = r.kubectl(ctx, "wait", "--for=condition=Ready", "--timeout=1m", "pod/stranger")
	return r, err
}

// dial says whether a pod can make a TCP connection, from its own network.
func (r release) dial(ctx context.Context, pod, ip string, port int) (bool, error) {
	pid, err := r.pid(ctx, pod)
	if err != nil {
		return false, err
	}
	cmd := exec.CommandContext(ctx, "nsenter", "--net=/proc/"+pid+"/ns/net", "timeout", "1.5", "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/%d", ip, port))
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return true, nil
	case cmd.ProcessState.ExitCode() == 124: // nothing came back
		return false, nil
	}
	return false, fmt.Errorf("%s dials %s:%d: %w: %s", pod, ip, port, err, out)
}

// pid is that of a pod's first process.
func (r release) pid(ctx context.Context, pod string) (string, error) {
	id, err := r.kubectl(ctx, "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].containerID}")
	if err != nil {
		return "", err
	}
	tasks, err := r.c.run(ctx, "ctr", "-n", "k8s.io", "tasks", "ls")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(tasks) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == strings.TrimPrefix(id, "containerd://") {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("pod %s has no process (container %s)", pod, id)
}

// door is a port of a pod of the release.
type door struct {
	component string
	port      int
	open      bool // to a stranger, while policies are enforced
}

// doors are all ports that a release's pods listen at.
var doors = []door{
	{"coordinator", 8080, true}, {"coordinator", 9090, true}, {"coordinator", 9091, true}, {"coordinator", 9100, false}, {"coordinator", 7946, false},
	{"worker", 9200, false}, {"worker", 7946, false}, {"worker", 9091, true},
	{"etcd", 2379, false}, {"etcd", 2380, false}, {"etcd", 2381, true},
}

// knock has the stranger try each door; enforced says whether policies are.
func (r release) knock(ctx context.Context, stranger release, enforced bool) error {
	for _, d := range doors {
		ip, err := r.kubectl(ctx, "get", "pods", "-l", "app.kubernetes.io/component="+d.component, "-o", "jsonpath={.items[0].status.podIP}")
		if err != nil {
			return err
		}
		got, err := stranger.dial(ctx, "stranger", ip, d.port)
		if err != nil {
			return err
		}
		if want := d.open || !enforced; got != want {
			return fmt.Errorf("a stranger reaches port %d of a %s: %v, want %v (policies enforced: %v)", d.port, d.component, got, want, enforced)
		}
	}
	return nil
}
