//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Addresses inside the test's own network.
const (
	nodeName  = "node"
	nodeIP    = "10.10.0.1"
	podCIDR   = "10.244.0.0/24"
	serviceIP = "10.96.0.0/16"
	token     = "kubetest" // nothing outside the namespace can reach the API server
)

// cluster is a control plane and one node, as processes on this machine.
type cluster struct {
	work, logs, bin, kubeconfig string
	fail                        context.CancelCauseFunc // ends the test
	hasMachine, enforces        bool
	want                        [streams][]int32 // the load's answers, undisturbed
}

// sullae is the program, as in the first image.
func (c *cluster) sullae() string { return filepath.Join(c.work, "images", first, "bin/sullae") }

// file writes a file of the cluster and returns its path.
func (c *cluster) file(name, content string) string {
	path := filepath.Join(c.work, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		panic(err) // the folder was made by this program
	}
	return path
}

// network brings up loopback and an interface for the node's address. Everything
// without a route of its own leaves there, so that Services' addresses reach
// kube-proxy's rules.
func (c *cluster) network(ctx context.Context) error {
	for _, args := range [][]string{
		{"link", "set", "lo", "up"}, {"link", "add", "node0", "type", "veth", "peer", "name", "node1"}, {"link", "set", "node1", "up"}, {"addr", "add", nodeIP + "/24", "dev", "node0"},
		{"link", "set", "node0", "up"}, {"route", "add", "default", "dev", "node0"},
	} {
		if _, err := c.run(ctx, "ip", args...); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}

// controlPlane starts etcd, the API server, the controllers and the scheduler.
func (c *cluster) controlPlane(ctx context.Context) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	accounts := c.file("accounts.key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	tokens := c.file("tokens.csv", token+",admin,1,system:masters\n")
	c.file("kubeconfig", fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: t,
clusters: [{name: t, cluster: {server: "https://%s:6443", insecure-skip-tls-verify: true}}],
contexts: [{name: t, context: {cluster: t, user: t}}], users: [{name: t, user: {token: %s}}]}`, nodeIP, token))
	if err := c.start(ctx, "etcd", "--data-dir", filepath.Join(c.work, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379", "--listen-peer-urls", "http://127.0.0.1:2380"); err != nil {
		return err
	}
	if err := await(ctx, time.Minute, "etcd", func() error { return healthy("http://127.0.0.1:2379/health") }); err != nil {
		return err
	}
	if err := c.start(ctx, "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--service-cluster-ip-range="+serviceIP,
		"--advertise-address="+nodeIP, "--bind-address="+nodeIP, "--secure-port=6443", "--cert-dir="+filepath.Join(c.work, "apiserver"),
		"--kubelet-preferred-address-types=InternalIP", "--token-auth-file="+tokens, "--authorization-mode=RBAC", "--allow-privileged",
		"--service-account-issuer=https://kubetest", "--service-account-signing-key-file="+accounts, "--service-account-key-file="+accounts); err != nil {
		return err
	}
	if err := await(ctx, 2*time.Minute, "the API server", func() error { return healthy("https://" + nodeIP + ":6443/readyz") }); err != nil {
		return err
	}
	return errors.Join(
		c.start(ctx, "kube-controller-manager", "--kubeconfig="+c.kubeconfig, "--leader-elect=false", "--authentication-skip-lookup=true",
			"--horizontal-pod-autoscaler-sync-period=1s", "--horizontal-pod-autoscaler-downscale-stabilization=5s", "--service-account-private-key-file="+accounts, "--bind-address=127.0.0.1"),
		c.start(ctx, "kube-scheduler", "--kubeconfig="+c.kubeconfig, "--leader-elect=false", "--authentication-skip-lookup=true", "--bind-address=127.0.0.1"),
	)
}

// node starts containerd, the kubelet, kube-proxy and CoreDNS. Pods reach the
// world through the host side of a pair of interfaces each (CNI's ptp), so that
// Services work without netfilter on bridges.
func (c *cluster) node(ctx context.Context) error {
	c.file("cni/10-kubetest.conflist", fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "kubetest", "plugins": [
{"type": "ptp", "ipam": {"type": "host-local", "subnet": %q, "routes": [{"dst": "0.0.0.0/0"}]}}]}`, podCIDR))
	containerd := c.file("containerd.toml", fmt.Sprintf(`version = 2
root = "%[1]s/containerd"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "%[2]s"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "%[1]s/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
`, c.work, pauseImage))
	kubelet := c.file("kubelet.yaml", fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: /%s
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
clusterDNS: [%s]
clusterDomain: cluster.local
resolvConf: ""
evictionHard: {memory.available: 50Mi}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
`, cgroup, nodeIP))
	corefile := c.file("Corefile", fmt.Sprintf(".:53 {\n bind %s\n errors\n kubernetes cluster.local {\n  kubeconfig %s\n  ttl 1\n }\n}\n", nodeIP, c.kubeconfig))
	if err := c.start(ctx, "containerd", "--config", containerd); err != nil {
		return err
	}
	err := await(ctx, time.Minute, "containerd", func() error {
		_, err := c.run(ctx, "ctr", "version")
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(
		c.start(ctx, "kubelet", "--config="+kubelet, "--kubeconfig="+c.kubeconfig, "--hostname-override="+nodeName, "--node-ip="+nodeIP, "--v=2"),
		c.start(ctx, "kube-proxy", "--kubeconfig="+c.kubeconfig, "--cluster-cidr="+podCIDR, "--hostname-override="+nodeName, "--proxy-mode="+*proxyMode,
			"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0", "--bind-address="+nodeIP),
		c.start(ctx, "coredns", "-conf", corefile),
	)
}
