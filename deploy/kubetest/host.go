//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sullae/sullae/deploy/internal/program"
)

// programs are what the test runs.
var programs = []string{"kubectl", "kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "coredns", "etcd", "helm", "kwok", "kube-network-policies"}

// kwokStages copies what makes kwok's nodes and pods ready from its module to the
// cache.
func kwokStages(cache string) error {
	dir := filepath.Join(cache, "kwok")
	if exists(dir) {
		return nil
	}
	source, err := program.Source(program.KwokModule)
	if err != nil {
		return err
	}
	for _, name := range []string{"node/fast/node-initialize.yaml", "node/heartbeat/node-heartbeat.yaml",
		"pod/fast/pod-ready.yaml", "pod/fast/pod-complete.yaml", "pod/fast/pod-delete.yaml"} {
		stage, err := os.ReadFile(filepath.Join(source, "kustomize/stage", name))
		if err == nil {
			err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, filepath.Base(name)), stage, 0o644))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// needed are Debian's packages, by a file of theirs.
var needed = map[string]string{
	"/usr/bin/containerd": "containerd", "/usr/sbin/runc": "runc", "/usr/lib/cni/ptp": "containernetworking-plugins",
	"/usr/bin/buildah": "buildah", "/usr/bin/curl": "curl", "/usr/bin/nsenter": "util-linux", "/usr/sbin/iptables": "iptables", "/usr/sbin/ip": "iproute2",
	"/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}

// checkHost says what this machine lacks.
func checkHost() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("kube-test runs a kubelet: it must be root")
	}
	var missing []string
	for file, pkg := range needed {
		if !exists(file) {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("packages are missing: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
	}
	return nil
}
