package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// Metrics that others' tools ask for, by name: what vLLM's production-stack has in
// its dashboards, and the default mapping of the Kubernetes inference gateway.
var asked = strings.Fields(`
	vllm:time_to_first_token_seconds_bucket vllm:time_to_first_token_seconds_sum vllm:time_to_first_token_seconds_count
	vllm:request_time_per_output_token_seconds_bucket vllm:request_time_per_output_token_seconds_sum vllm:request_time_per_output_token_seconds_count
	vllm:e2e_request_latency_seconds_bucket vllm:e2e_request_latency_seconds_sum vllm:e2e_request_latency_seconds_count
	vllm:kv_cache_usage_perc vllm:num_requests_waiting vllm:num_requests_running vllm:request_success_total
	vllm:request_queue_time_seconds_sum vllm:request_prefill_time_seconds_sum vllm:request_decode_time_seconds_sum
	vllm:request_prompt_tokens_bucket vllm:request_generation_tokens_bucket vllm:request_max_num_generation_tokens_sum
	vllm:prompt_tokens_total vllm:generation_tokens_total vllm:gpu_prefix_cache_queries_total vllm:gpu_prefix_cache_hits_total
	vllm:healthy_pods_total vllm:current_qps router_cpu_usage_percent router_memory_usage_percent router_disk_usage_percent
	vllm:cache_config_info vllm:lora_requests_info`)

// labels that they select by.
var askedLabels = []string{
	`vllm:num_requests_running{engine="0",model_name="demo"}`, `vllm:request_success_total{engine="0",finished_reason="length",model_name="demo"}`,
	`vllm:cache_config_info{block_size="16",`, `num_gpu_blocks="`, `vllm:lora_requests_info{`, `running_lora_adapters="",waiting_lora_adapters=""`,
	`vllm:healthy_pods_total{server="`,
}

// TestDashboards: every metric that a dashboard, an alert, or another project's
// tool asks for has a series in a scrape of a running cluster; every alert has its
// runbook.
func TestDashboards(t *testing.T) {
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys.json")
	secret := run(t, "keys", "add", "--file", keys, "k")
	policy := startPolicy(t, nil)
	p := up(t, "--workers", "2", "--threads", "1", "--api-keys", keys, "--node-tls", "--audit-log", filepath.Join(dir, "audit"), "--policy", policy)
	if res, body := call(t, "POST", p.http+"/v1/completions", secret, `{"prompt": "1+2=", "max_tokens": 8, "ignore_eos": true}`); res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	t.Setenv("SULLAE_API_KEY", secret)
	run(t, "generate", "--grpc", p.grpc, "--max-tokens", "2", "x")
	var s struct {
		OpsAddress string `json:"ops_address"`
		Workers    []struct {
			OpsAddress string `json:"ops_address"`
		}
	}
	if err := json.Unmarshal([]byte(run(t, "status", "--json", "--http", p.http)), &s); err != nil || len(s.Workers) != 2 {
		t.Fatalf("%v: %+v", err, s)
	}
	eventually(t, 10*time.Second, "the ranks' timing is published", func() bool {
		_, text := call(t, "GET", "http://"+s.OpsAddress+"/metrics", "", "")
		return strings.Contains(text, "\nsullae_straggler_score{")
	})
	series := map[string]bool{}
	var all string
	for _, addr := range []string{s.OpsAddress, s.Workers[0].OpsAddress, s.Workers[1].OpsAddress} {
		res, text := call(t, "GET", "http://"+addr+"/metrics", "", "")
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d", addr, res.StatusCode)
		}
		all += text
		for line := range strings.Lines(text) {
			if name := regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`).FindString(line); name != "" {
				series[name] = true
			}
		}
	}
	for _, want := range askedLabels {
		if !strings.Contains(all, want) {
			t.Errorf("no series has %s", want)
		}
	}
	queries := map[string]string{} // by metric, where it is asked for
	for _, name := range asked {
		queries[name] = "another project's tool"
	}
	collect := func(expr, where string) {
		for _, name := range metricsOf(expr) {
			queries[name] = where + ": " + expr
		}
	}
	files, _ := filepath.Glob("../../../deploy/helm/sullae/dashboards/*.json")
	for _, f := range files {
		for _, expr := range expressions(t, f) {
			collect(expr, f)
		}
	}
	runbooks, err := os.ReadFile("../../../docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	ruleFiles, _ := filepath.Glob("../../../deploy/helm/sullae/rules/*.yaml")
	for _, f := range ruleFiles {
		var file struct {
			Groups []struct {
				Rules []struct {
					Alert, Expr string
					Annotations map[string]string
				}
			}
		}
		raw, err := os.ReadFile(f)
		if err == nil {
			err = yaml.Unmarshal(raw, &file)
		}
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				rules++
				collect(r.Expr, r.Alert)
				if !strings.Contains(string(runbooks), "\n## "+r.Alert+"\n") || !strings.HasSuffix(r.Annotations["runbook_url"], "docs/runbooks.md#"+strings.ToLower(r.Alert)) {
					t.Errorf("%s has no runbook", r.Alert)
				}
			}
		}
	}
	if len(files) != 2 || rules < 10 || len(queries) < 50 {
		t.Errorf("found %d dashboards, %d rules, %d metrics", len(files), rules, len(queries))
	}
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		if !series[name] {
			t.Errorf("%s has no series; asked for by %s", name, queries[name])
		}
	}
}

var (
	inBraces   = regexp.MustCompile(`\{[^}]*\}`)
	metricName = regexp.MustCompile(`\b(?:vllm:|sullae_|router_|process_|go_)[a-z0-9_]+`)
)

// metricsOf are the metrics that a PromQL expression names.
func metricsOf(expr string) []string {
	return metricName.FindAllString(inBraces.ReplaceAllString(expr, ""), -1)
}

// expressions are the queries of a dashboard, of its panels and its variables.
func expressions(t *testing.T, file string) (out []string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var any any
	if err := json.Unmarshal(raw, &any); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	walk(any, func(key, value string) {
		if key == "expr" || key == "query" || key == "definition" {
			out = append(out, value)
		}
	})
	if len(out) < 10 {
		t.Errorf("%s: %d queries", file, len(out))
	}
	return out
}

// walk visits every string of a JSON value with its key.
func walk(v any, visit func(key, value string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if s, ok := x.(string); ok {
				visit(k, s)
			}
			walk(x, visit)
		}
	case []any:
		for _, x := range v {
			walk(x, visit)
		}
	}
}
