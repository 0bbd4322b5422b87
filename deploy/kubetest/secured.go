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

	"github.com/sullae/sullae/ops/tracing/tracetest"
)

// installation is a release within surroundings of its operator's own.
type installation struct {
	release
	etcd, policy, api pair
	sink              *tracetest.Sink
	load, guest       access // by the keys of those names
	traces            int    // so many were asked for
}

// secured installs the chart the way a careful operator would: an etcd of one's
// own with client certificates and a password, TLS, client certificates and keys
// on the APIs, a policy service, traces, a pool that scales by the queue's length,
// and weights from a claim, from a host path, and streamed.
func (c *cluster) secured(ctx context.Context, repo string) error {
	i := installation{release: release{c, "secured", "secured", filepath.Join(repo, "deploy/helm/sullae")}}
	began := time.Now()
	var err error
	if i.etcd, err = c.etcdOfOnesOwn(ctx); err != nil {
		return err
	}
	if i.sink, i.policy, err = c.receivers(ctx); err != nil {
		return err
	}
	if err := i.prepare(ctx, repo); err != nil {
		return err
	}
	if err := i.helm(ctx, append([]string{"install", "-f", i.c.file("secured.yaml", securedValues)}, set(small...)...)...); err != nil {
		return err
	}
	if _, err := c.run(ctx, "helm", "test", i.name, "-n", i.namespace, "--logs"); err != nil {
		return err
	}
	say("secured: installed, helm test passes: %.1f s", time.Since(began).Seconds())
	if err := i.reach(ctx); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"without a client's certificate or a key all is refused", func() error { return i.refusesStrangers(ctx) }},
		{"etcd asks for a certificate and a password, and holds the release's keys", func() error { return i.checkEtcd(ctx) }},
		{"the policy service refuses a prompt and redacts an answer", func() error { return i.checkPolicy(ctx) }},
		{"weights from a claim; traces by OTLP over HTTP", func() error { return i.answers(ctx, "folder") }},
		{"the pool grows and shrinks by the queue's length", func() error { return i.scalesItself(ctx) }},
		{"weights from a host path; traces by OTLP over gRPC", func() error {
			err := i.helm(ctx, append([]string{"upgrade", "--reuse-values"}, set("model.uri=hostpath://"+c.models(),
				fmt.Sprintf("tracing.otlp.endpoint=http://%s:%d", nodeIP, otlpGRPC), "tracing.otlp.protocol=grpc")...)...)
			return errors.Join(err, i.answers(ctx, "folder"))
		}},
		{"weights streamed from the coordinator", func() error {
			err := i.helm(ctx, append([]string{"upgrade", "--reuse-values"}, set("model.weights=streamed")...)...)
			return errors.Join(err, i.answers(ctx, "coordinator"))
		}},
	} {
		began := time.Now()
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		say("secured: %s: %.1f s", step.what, time.Since(began).Seconds())
	}
	if _, err := c.run(ctx, "helm", "uninstall", i.name, "-n", i.namespace, "--wait"); err != nil {
		return err
	}
	return i.gone(ctx)
}

// securedValues is the installation's values file.
var securedValues = fmt.Sprintf(`
model: {uri: "pvc://models/demo"}
etcd:
  bundled: {enabled: false}
  external: {endpoints: ["%[1]s:%[2]d"], tlsSecret: etcd-client, serverName: %[3]s, authSecret: etcd-user}
tls: {enabled: true, existingSecret: api-tls, mtls: true}
auth: {existingSecret: api-keys, test: {existingSecret: test-key}}
tests: {clientSecret: api-tls}
policy: {address: "%[4]s:%[5]d", caSecret: policy-ca}
tracing: {otlp: {endpoint: "http://%[1]s:%[6]d", protocol: http/protobuf}}
extraEnv: [{name: OTEL_BSP_SCHEDULE_DELAY, value: "200"}]
autoscaling: {pool: cpu, minReplicas: 2, maxReplicas: 3, hpa: {enabled: true, averageValue: "2"}}
scheduler: {maxNumSeqs: 1}
drain: {timeout: 5, preStopSleep: 0}
networkPolicy:
  egress:
    enabled: true
    rules:
    - to: [{ipBlock: {cidr: %[1]s/32}}]
      ports: [{port: %[2]d}, {port: %[5]d}, {port: %[6]d}, {port: %[7]d}]
`, nodeIP, ownEtcd, etcdName, policyName, policyPort, otlpHTTP, otlpGRPC)

// models is the folder of the demo model on the node.
func (c *cluster) models() string { return filepath.Join(c.work, "models/demo") }

// prepare makes the model's folder and all objects that the values name.
func (i *installation) prepare(ctx context.Context, repo string) (err error) {
	c := i.c
	if err := os.CopyFS(c.models(), os.DirFS(filepath.Join(repo, "deploy/demo-model/model"))); err != nil {
		return err
	}
	if i.api, err = c.certs(ctx, "api", "secured-sullae.secured.svc"); err != nil {
		return err
	}
	keys := filepath.Join(c.work, "secured-keys.json")
	secrets := map[string]string{}
	for _, name := range []string{loadCaller, redacted} {
		secret, err := exec.CommandContext(ctx, c.sullae(), "keys", "add", "--file", keys, name).Output()
		if err != nil {
			return fmt.Errorf("sullae keys add: %w", err)
		}
		secrets[name] = strings.TrimSpace(string(secret))
	}
	i.load.key, i.guest.key = secrets[loadCaller], secrets[redacted]
	// A Service that has the policy's place on the node, and a claim bound by hand.
	_, err = c.runWith(ctx, fmt.Sprintf(`
{apiVersion: v1, kind: Namespace, metadata: {name: secured}}
---
{apiVersion: v1, kind: Service, metadata: {name: policy, namespace: secured}, spec: {clusterIP: None, ports: [{port: %[2]d}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: policy, namespace: secured, labels: {kubernetes.io/service-name: policy}},
 addressType: IPv4, ports: [{name: "", port: %[2]d, protocol: TCP}], endpoints: [{addresses: [%[1]q]}]}
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: models}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadOnlyMany], storageClassName: "", hostPath: {path: %[3]q}}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: models, namespace: secured},
 spec: {accessModes: [ReadOnlyMany], storageClassName: "", volumeName: models, resources: {requests: {storage: 1Gi}}}}
`, nodeIP, policyPort, filepath.Dir(c.models())), "kubectl", "apply", "-f", "-")
	if err != nil {
		return err
	}
	for name, from := range map[string][]string{
		"etcd-client": {"--from-file=ca.crt=" + i.etcd.ca, "--from-file=tls.crt=" + i.etcd.cert, "--from-file=tls.key=" + i.etcd.key},
		"etcd-user":   {"--from-literal=username=" + etcdUser, "--from-literal=password=" + etcdPassword},
		"api-tls":     {"--from-file=ca.crt=" + i.api.ca, "--from-file=tls.crt=" + i.api.cert, "--from-file=tls.key=" + i.api.key},
		"api-keys":    {"--from-file=keys.json=" + keys},
		"test-key":    {"--from-literal=api-key=" + i.load.key},
		"policy-ca":   {"--from-file=ca.crt=" + i.policy.ca},
	} {
		if _, err := i.kubectl(ctx, append([]string{"create", "secret", "generic", name}, from...)...); err != nil {
			return err
		}
	}
	return c.queueMetrics(ctx, i.release)
}

// reach finds out where the APIs are, for both keys.
func (i *installation) reach(ctx context.Context) error {
	config, err := i.api.config("secured-sullae.secured.svc")
	if err != nil {
		return err
	}
	for _, a := range []*access{&i.load, &i.guest} {
		if *a, err = i.access(ctx, config, a.key); err != nil {
			return err
		}
	}
	return nil
}
