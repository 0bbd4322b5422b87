// Package program builds the outside programs that tests of the deployment run,
// from Go's module proxy, pinned, into a cache.
package program

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// KubernetesVersion is the release that is tested against.
const KubernetesVersion = "v1.37.2"

// Modules are the modules whose other files are used, too.
const (
	KubernetesModule = "k8s.io/kubernetes@" + KubernetesVersion
	KwokModule       = "sigs.k8s.io/kwok@v0.8.0"
)

// program is how one is built.
type program struct {
	pkg     string   // import path, with a version where no module pins it
	module  string   // folder of modules/ with the go.mod that pins it
	ldflags []string // beyond -s -w
}

var programs = func() map[string]program {
	version := []string{"-X k8s.io/component-base/version.gitVersion=" + KubernetesVersion,
		"-X k8s.io/component-base/version.gitMajor=1", "-X k8s.io/component-base/version.gitMinor=37",
		"-X k8s.io/client-go/pkg/version.gitVersion=" + KubernetesVersion}
	out := map[string]program{
		"helm":          {pkg: "helm.sh/helm/v4/cmd/helm@v4.3.1"},
		"kubeconform":   {pkg: "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"},
		"kwok":          {pkg: strings.Replace(KwokModule, "@", "/cmd/kwok@", 1)},
		"helm-unittest": {pkg: "github.com/helm-unittest/helm-unittest/cmd/helm-unittest", module: "unittest"},
		"coredns":       {pkg: ".", module: "dns"},
		"etcd":          {pkg: "go.etcd.io/etcd/server/v3", module: "etcd"},
		// It enforces network policies.
		"kube-network-policies": {pkg: "sigs.k8s.io/kube-network-policies/cmd", module: "policies"},
	}
	for _, name := range []string{"kubectl", "kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager", "kube-apiserver"} {
		out[name] = program{"k8s.io/kubernetes/cmd/" + name, "k8s", version}
	}
	return out
}()

// Cache is where programs are kept where nothing else is said.
func Cache() (string, error) {
	home, err := os.UserCacheDir()
	return filepath.Join(home, "sullae/kube"), err
}

// Build fills the cache's bin folder with the programs that are not there yet; say
// is told what is built. It runs in the repository's root.
func Build(cache string, say func(format string, args ...any), names ...string) (bin string, err error) {
	bin = filepath.Join(cache, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	for _, name := range names {
		p, ok := programs[name]
		if !ok {
			return "", fmt.Errorf("program %s is not known", name)
		}
		// Another pin is another program.
		at := filepath.Join(bin, name)
		mark := at + ".from"
		from, err := p.from()
		if err != nil {
			return "", err
		}
		if old, err := os.ReadFile(mark); err == nil && string(old) == from {
			continue
		}
		say("building %s (kept in %s)", name, bin)
		if err := p.build(at); err != nil {
			return "", fmt.Errorf("build %s: %w", name, err)
		}
		if err := os.WriteFile(mark, []byte(from), 0o644); err != nil {
			return "", err
		}
	}
	return bin, nil
}

const modules = "deploy/internal/program/modules"

// from says what a program is built from.
func (p program) from() (string, error) {
	if p.module == "" {
		return p.pkg, nil
	}
	raw, err := os.ReadFile(filepath.Join(modules, p.module, "go.mod"))
	return p.pkg + "\n" + string(raw), err
}

func (p program) build(at string) error {
	cmd := exec.Command("go", "install", p.pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false -trimpath", "GOBIN="+filepath.Dir(at))
	if p.module != "" {
		cmd.Dir = filepath.Join(modules, p.module)
		cmd.Args = []string{"go", "build", "-o", at, "-ldflags", strings.Join(append(p.ldflags, "-s -w"), " "), p.pkg}
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// Source is the folder of a module's files.
func Source(module string) (string, error) {
	raw, err := exec.Command("go", "mod", "download", "-json", module).Output()
	if err != nil {
		return "", fmt.Errorf("download %s: %w", module, err)
	}
	var m struct{ Dir string }
	return m.Dir, json.Unmarshal(raw, &m)
}
