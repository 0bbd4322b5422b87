// Command charttest looks at the Helm chart without a cluster: helm lint, the
// rendering of many values against Kubernetes' own schemas (kubeconform),
// helm-unittest, and values that must be refused. `make chart-test` runs it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sullae/sullae/deploy/internal/program"
)

const chart = "deploy/helm/sullae"

var (
	cacheDir = flag.String("cache", "", "folder of the programs, filled when empty; default ~/.cache/sullae/kube")
	lintOnly = flag.Bool("lint", false, "only what needs no more than helm: lint and refused values")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chart-test:", err)
		os.Exit(1)
	}
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func run() (err error) {
	if _, err := os.Stat(filepath.Join(chart, "Chart.yaml")); err != nil {
		return fmt.Errorf("run it in the repository's root: %w", err)
	}
	if *cacheDir == "" {
		if *cacheDir, err = program.Cache(); err != nil {
			return err
		}
	}
	names := []string{"helm", "kubeconform", "helm-unittest"}
	if *lintOnly {
		names = names[:1]
	}
	bin, err := program.Build(*cacheDir, say, names...)
	if err != nil {
		return err
	}
	t := tester{bin}
	steps := []func() error{t.lint, t.refused}
	if !*lintOnly {
		steps = append(steps, t.conform, t.unit)
	}
	for _, step := range steps {
		began := time.Now()
		if err := step(); err != nil {
			return err
		}
		say("  %.1f s", time.Since(began).Seconds())
	}
	return nil
}

// tester runs programs of a folder.
type tester struct{ bin string }

func (t tester) run(name string, args ...string) (string, error) {
	out, err := exec.Command(filepath.Join(t.bin, name), args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// corners are the values files that must render.
func corners() ([]string, error) { return filepath.Glob(filepath.Join(chart, "ci", "*.yaml")) }

// lint runs helm lint --strict over every corner.
func (t tester) lint() error {
	files, err := corners()
	if err != nil {
		return err
	}
	for _, f := range append([]string{""}, files...) {
		args := []string{"lint", "--strict", chart}
		if f != "" {
			args = append(args, "-f", f)
		}
		if _, err := t.run("helm", args...); err != nil {
			return err
		}
	}
	say("helm lint --strict: the defaults and %d other values files", len(files))
	return nil
}

// refused are values that must not render, with what the message must name.
var refusals = []struct{ set, names string }{
	{"coordinator.replica=3", "replica"}, {"workers.pools[0].replcas=3", "replcas"}, {"workers.defaults.packCache.typ=x", "typ"},
	{"image.tga=x", "tga"}, {"modle.uri=demo", "modle"}, {"model.uri=/models/x", "/model/uri"}, {"model.quantization=q5", "/model/quantization"},
	{"etcd.bundled.replicas=2", "/etcd/bundled/replicas"}, {"failure.graceWindow=1", "/failure/graceWindow"},
	{"parallelism.tensor=0", "/parallelism/tensor"}, {"scheduler.maxNumSeqs=0", "/scheduler/maxNumSeqs"}, {"workers.pools[0].kind=tpu", "kind"},
	{"etcd.bundled.enabled=false", "etcd.external.endpoints"}, {"nodeTLS.mode=secret", "nodeTLS.existingSecret"},
	{"tls.enabled=true", "tls.existingSecret"}, {"etcd.bundled.replicas=3,etcd.bundled.persistence.enabled=false", "etcd.bundled.persistence.enabled"},
	{"workers.pools[0].name=a,workers.pools[1].name=a", "two pools"}, {"workers.replicas.gpu=2", "workers.replicas.gpu"},
	{"autoscaling.hpa.enabled=true,autoscaling.keda.enabled=true", "hpa and keda"}, {"autoscaling.hpa.enabled=true,autoscaling.pool=x", "autoscaling.pool"},
	{"coordinator.route.enabled=true", "coordinator.route.parentRefs"}, {"coordinator.ingress.enabled=true", "coordinator.ingress.hosts"},
	{"workers.pools[0].replicas=1,workers.pools[1].replicas=1", "workers.replicas.NAME=N"},
	{"workers.defaults.packCache.type=persistent", "packCache.size"}, {"parallelism.groups=2", "parallelism.tensor"},
	{"workers.pools[0].name=a,workers.pools[1].name=b,workers.pools[1].kind=cuda", "one arithmetic class"},
}

func (t tester) refused() error {
	for _, r := range refusals {
		out, err := t.run("helm", "template", "demo", chart, "--set", r.set)
		if err == nil || !strings.Contains(out, r.names) {
			return fmt.Errorf("--set %s: the message should name %q: %s", r.set, r.names, out[:min(len(out), 500)])
		}
	}
	say("%d wrong values are refused, each by a message that names it", len(refusals))
	return nil
}

// conform renders every corner and checks it against Kubernetes' schemas.
func (t tester) conform() error {
	schemas := filepath.Join(*cacheDir, "schemas-"+program.KubernetesVersion)
	if err := makeSchemas(schemas); err != nil {
		return err
	}
	files, err := corners()
	if err != nil {
		return err
	}
	check := func(args ...string) (string, error) {
		rendered, err := t.run("helm", append([]string{"template", "demo", chart, "--namespace", "demo"}, args...)...)
		if err != nil {
			return "", err
		}
		file := filepath.Join(*cacheDir, "rendered.yaml")
		if err := os.WriteFile(file, []byte(rendered), 0o644); err != nil {
			return "", err
		}
		return t.run("kubeconform", "-strict", "-summary", "-schema-location", schemas+"/{{.ResourceKind}}{{.KindSuffix}}.json",
			"-skip", strings.Join(customKinds, ","), file)
	}
	// What the chart passes on unseen shows that the schemas refuse anything.
	if out, err := check("--set", "coordinator.affinity.nodeAfinity=x"); err == nil || !strings.Contains(out, "nodeAfinity") {
		return fmt.Errorf("kubeconform takes a field that Kubernetes does not know: %v", err)
	}
	for _, f := range files {
		if _, err := check("-f", f); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	out, err := check()
	if err != nil {
		return err
	}
	say("kubeconform: %d values files; the defaults: %s", len(files), strings.TrimSpace(out))
	return nil
}

// customKinds have no schema in Kubernetes itself.
var customKinds = []string{"ServiceMonitor", "PodMonitor", "PrometheusRule", "ScaledObject", "LeaderWorkerSet", "Certificate", "Issuer", "HTTPRoute", "GRPCRoute"}

// unit runs helm-unittest.
func (t tester) unit() error {
	out, err := t.run("helm-unittest", chart)
	if err != nil {
		return err
	}
	say("helm-unittest:\n%s", strings.TrimSpace(out))
	return nil
}
