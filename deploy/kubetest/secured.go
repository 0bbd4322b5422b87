//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// secured installs the chart with TLS and keys on the APIs, three members of etcd
// and an audit log, as docs/operate.md does it.
func (c *cluster) secured(ctx context.Context, repo string) error {
	began := time.Now()
	sullae := filepath.Join(c.work, "images", first, "bin/sullae")
	dir := filepath.Join(c.work, "secured")
	keys := filepath.Join(dir, "keys.json")
	if _, err := c.run(ctx, sullae, "certs", dir, "--node-name", "secure-sullae.secure.svc"); err != nil {
		return err
	}
	key, err := c.run(ctx, sullae, "keys", "add", "--file", keys, "test", "--admin")
	if err != nil {
		return err
	}
	fields := strings.Fields(key)
	i := slices.IndexFunc(fields, func(s string) bool { return strings.HasPrefix(s, "sk-sullae-") })
	if i < 0 {
		return fmt.Errorf("sullae keys add prints no key: %q", key)
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(fields[i]), 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"create", "namespace", "secure"},
		{"label", "namespace", "secure", "pod-security.kubernetes.io/enforce=restricted"},
		{"-n", "secure", "create", "secret", "generic", "api-tls", "--from-file=ca.crt=" + dir + "/ca.pem", "--from-file=tls.crt=" + dir + "/node.pem", "--from-file=tls.key=" + dir + "/node-key.pem"},
		{"-n", "secure", "create", "secret", "generic", "api-keys", "--from-file=keys.json=" + keys},
		{"-n", "secure", "create", "secret", "generic", "test-key", "--from-file=api-key=" + dir + "/key"},
	} {
		if _, err := c.run(ctx, "kubectl", args...); err != nil {
			return err
		}
	}
	for i := range 3 {
		if err := c.volume(ctx, fmt.Sprint("etcd-secured-", i)); err != nil {
			return err
		}
	}
	r := release{c, "secure", "secure", filepath.Join(repo, "deploy/helm/sullae")}
	err = r.helm(ctx, "install", append(slices.Clone(small), "tls.enabled=true", "tls.existingSecret=api-tls", "auth.existingSecret=api-keys",
		"auth.test.existingSecret=test-key", "etcd.bundled.replicas=3", "audit.enabled=true", "networkPolicy.egress.enabled=true")...)
	if err != nil {
		return err
	}
	out, err := c.run(ctx, "helm", "test", r.name, "-n", r.namespace, "--logs")
	if err != nil {
		return err
	}
	if !strings.Contains(out, "ok  gRPC stream") {
		return fmt.Errorf("helm test says: %s", out)
	}
	ip, err := r.kubectl(ctx, "get", "service", "secure-sullae", "-o", "jsonpath={.spec.clusterIP}")
	if err != nil {
		return err
	}
	for path, want := range map[string]int{"/v1/models": http.StatusUnauthorized, "/metrics": http.StatusUnauthorized, "/cluster/status": http.StatusUnauthorized, "/livez": http.StatusOK} {
		if err := answers("https://"+ip+":8080"+path, want); err != nil {
			return err
		}
	}
	say("secured: TLS and keys on the APIs, three members of etcd with mutual TLS; helm test passes, without a key all but health is refused: %.1f s", time.Since(began).Seconds())
	_, err = c.run(ctx, "helm", "uninstall", r.name, "-n", r.namespace, "--wait")
	return err
}
