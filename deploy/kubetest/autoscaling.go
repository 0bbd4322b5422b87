//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// metricsPort is where the external metrics API is served on the node.
const metricsPort = 6444

const externalMetrics = "external.metrics.k8s.io/v1beta1"

// queueMetrics serves Kubernetes' external metrics API: the release's waiting
// requests, as its coordinators' /metrics have them. In a cluster that is an
// adapter's work, from Prometheus.
func (c *cluster) queueMetrics(ctx context.Context, r release) error {
	p, err := c.certs(ctx, "metrics", "metrics.secured.svc")
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", fmt.Sprintf("%s:%d", nodeIP, metricsPort), &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /apis/"+externalMetrics, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": externalMetrics, "resources": []any{}})
	})
	mux.HandleFunc("GET /apis/"+externalMetrics+"/namespaces/"+r.namespace+"/vllm_num_requests_waiting", func(w http.ResponseWriter, req *http.Request) {
		waiting, err := r.sum(req.Context(), "coordinator", "vllm:num_requests_waiting")
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		answer(w, map[string]any{"kind": "ExternalMetricValueList", "apiVersion": externalMetrics, "metadata": map[string]any{}, "items": []any{map[string]any{
			"metricName": "vllm_num_requests_waiting", "metricLabels": map[string]string{}, "timestamp": time.Now().UTC().Format(time.RFC3339), "value": fmt.Sprint(int(waiting))}}})
	})
	go (&http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}).Serve(l) // ends with the namespaces
	group, version, _ := strings.Cut(externalMetrics, "/")
	_, err = c.runWith(ctx, fmt.Sprintf(`
{apiVersion: v1, kind: Service, metadata: {name: metrics, namespace: secured}, spec: {ports: [{port: 443, targetPort: %[2]d}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: metrics, namespace: secured, labels: {kubernetes.io/service-name: metrics}},
 addressType: IPv4, ports: [{name: "", port: %[2]d, protocol: TCP}], endpoints: [{addresses: [%[1]q]}]}
---
{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: %[4]s.%[3]s},
 spec: {group: %[3]s, version: %[4]s, groupPriorityMinimum: 100, versionPriority: 100, insecureSkipTLSVerify: true, service: {namespace: secured, name: metrics}}}
`, nodeIP, metricsPort, group, version), "kubectl", "apply", "-f", "-")
	return err
}

// scalesItself has requests wait, until the pool has grown, and then none, until
// it has shrunk; no request fails.
func (i *installation) scalesItself(ctx context.Context) error {
	l := &load{access: i.load}
	c, err := l.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	for s := range streams {
		if l.want[s], err = l.askGRPC(ctx, c, s); err != nil {
			return err
		}
	}
	if err := l.start(ctx, false); err != nil {
		return err
	}
	err = l.during(ctx, "secured: 7 of 8 requests wait, the pool grows to 3", func() error { return i.load.ranks(ctx, 3) })
	l.stop()
	if err != nil {
		return err
	}
	return i.load.ranks(ctx, 2)
}
