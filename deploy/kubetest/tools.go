//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tool is a program that Go builds from its module proxy, kept in the cache
// under a name that has its version.
type tool struct {
	name    string   // of the file in the cache's bin
	pkg     string   // import path
	module  string   // folder with the go.mod that pins it; "": pkg@version by itself
	ldflags []string // beyond -s -w
}

const kubernetesVersion = "v1.37.2"

var tools = func() []tool {
	version := []string{"-X k8s.io/component-base/version.gitVersion=" + kubernetesVersion,
		"-X k8s.io/component-base/version.gitMajor=1", "-X k8s.io/component-base/version.gitMinor=37",
		"-X k8s.io/client-go/pkg/version.gitVersion=" + kubernetesVersion}
	out := []tool{
		{name: "helm", pkg: "helm.sh/helm/v4/cmd/helm@v4.3.1"},
		{name: "kwok", pkg: strings.Replace(kwokModule, "@", "/cmd/kwok@", 1)},
		{name: "coredns", pkg: ".", module: "dns"},
		{name: "etcd", pkg: "go.etcd.io/etcd/server/v3", module: "etcd"},
	}
	for _, name := range []string{"kubectl", "kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager", "kube-apiserver"} {
		out = append(out, tool{name, "k8s.io/kubernetes/cmd/" + name, "k8s", version})
	}
	return out
}()

// buildTools fills the cache with what is not there yet; the first time takes ten
// minutes and more of CPU.
func buildTools(source, cache string) (bin string, err error) {
	bin = filepath.Join(cache, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	for _, t := range tools {
		if _, err := os.Stat(filepath.Join(bin, t.name)); err == nil {
			continue
		}
		say("building %s (kept in %s)", t.name, bin)
		if err := t.build(source, bin); err != nil {
			return "", fmt.Errorf("build %s: %w", t.name, err)
		}
	}
	return bin, kwokStages(cache)
}

// kwokModule holds, beside the program, the stages that make nodes and pods ready.
const kwokModule = "sigs.k8s.io/kwok@v0.8.0"

// kwokStages copies them to the cache.
func kwokStages(cache string) error {
	dir := filepath.Join(cache, "kwok")
	if exists(dir) {
		return nil
	}
	raw, err := exec.Command("go", "mod", "download", "-json", kwokModule).Output()
	if err != nil {
		return fmt.Errorf("download %s: %w", kwokModule, err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(raw, &module); err != nil {
		return err
	}
	from := os.DirFS(filepath.Join(module.Dir, "kustomize/stage"))
	for _, name := range []string{"node/fast/node-initialize.yaml", "node/heartbeat/node-heartbeat.yaml",
		"pod/fast/pod-ready.yaml", "pod/fast/pod-complete.yaml", "pod/fast/pod-delete.yaml"} {
		stage, err := fs.ReadFile(from, name)
		if err == nil {
			err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, filepath.Base(name)), stage, 0o644))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t tool) build(source, bin string) error {
	cmd := exec.Command("go", "install", t.pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false -trimpath", "GOBIN="+bin)
	if t.module != "" {
		cmd.Dir = filepath.Join(source, "tools", t.module)
		cmd.Args = []string{"go", "build", "-o", filepath.Join(bin, t.name), "-ldflags", strings.Join(append(t.ldflags, "-s -w"), " "), t.pkg}
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// needed are Debian's packages, by a file of theirs.
var needed = map[string]string{
	"/usr/bin/containerd": "containerd", "/usr/sbin/runc": "runc", "/usr/lib/cni/ptp": "containernetworking-plugins",
	"/usr/bin/buildah": "buildah", "/usr/sbin/iptables": "iptables", "/usr/sbin/ip": "iproute2",
	"/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}

// checkHost says what this machine lacks.
func checkHost() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("kube-test runs a kubelet: it must be root")
	}
	var missing []string
	for file, pkg := range needed {
		if _, err := os.Stat(file); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("packages are missing: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
	}
	return nil
}
