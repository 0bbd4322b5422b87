package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/sullae/sullae/proto/client"
	sullaev1 "github.com/sullae/sullae/proto/sullae/v1"
)

// run runs a command of sullae and returns its standard output.
func run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(sullae, args...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, &log)
	}
	return strings.TrimSpace(out.String())
}

// call sends a request with a key ("": none).
func call(t *testing.T, method, url, key, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(raw)
}

// TestKeys walks every route that there is, over HTTP and gRPC: without a key, or
// with a wrong one, all are refused but health. Limits, changes of the file, the
// audit log, and that no secret is in a log.
func TestKeys(t *testing.T) {
	dir := t.TempDir()
	keys, audit := filepath.Join(dir, "keys.json"), filepath.Join(dir, "audit.jsonl")
	alice := run(t, "keys", "add", "--file", keys, "alice", "--requests-per-minute", "3", "--min-priority", "5")
	bob := run(t, "keys", "add", "--file", keys, "bob")
	admin := run(t, "keys", "add", "--file", keys, "root", "--admin")
	ops := "127.0.0.1:" + freePort(t)
	p := up(t, "--workers", "2", "--api-keys", keys, "--ops", ops, "--audit-log", audit, "--max-output-tokens", "100", "--log-level", "debug", "--batch-dir", filepath.Join(dir, "batches"))

	var routes struct{ HTTP, GRPC []string }
	res, raw := call(t, "GET", "http://"+ops+"/debug/routes", "", "")
	if err := json.Unmarshal([]byte(raw), &routes); err != nil || res.StatusCode != 200 || len(routes.HTTP) < 20 || len(routes.GRPC) < 6 {
		t.Fatalf("routes: %v %s", err, raw)
	}
	health := map[string]bool{"/livez": true, "/readyz": true, "/health": true}
	for _, pattern := range routes.HTTP {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "GET", pattern
		}
		path = strings.NewReplacer("{id...}", "x", "{id}", "x", "{$}", "").Replace(path)
		for _, m := range []string{method, "GET", "POST", "DELETE", "OPTIONS", "HEAD"} {
			for _, key := range []string{"", "sk-sullae-wrong"} {
				res, _ := call(t, m, p.http+path, key, "{}")
				if open := health[path] && (m == "GET" || m == "HEAD"); open != (res.StatusCode == 200) || !open && res.StatusCode != 401 {
					t.Errorf("%s %s with key %q: %d", m, path, key, res.StatusCode)
				}
			}
		}
	}
	conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, method := range routes.GRPC {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
		open := strings.HasPrefix(method, "/grpc.health.v1.Health/")
		if err == nil {
			if open { // what is refused is so by its header, before a message has come
				s.SendMsg(&emptypb.Empty{})
				s.CloseSend()
			}
			err = s.RecvMsg(&emptypb.Empty{})
		}
		cancel()
		if code := status.Code(err); open == (code == codes.Unauthenticated) || !open && code != codes.Unauthenticated {
			t.Errorf("%s: %v", method, err)
		}
	}

	body := `{"prompt": "1+2=", "max_tokens": 4, "temperature": 0, "user": "u", "priority": -9}`
	for i := range 3 {
		if res, raw := call(t, "POST", p.http+"/v1/completions", alice, body); res.StatusCode != 200 {
			t.Fatalf("request %d: %d %s", i, res.StatusCode, raw)
		}
	}
	res, raw = call(t, "POST", p.http+"/v1/completions", alice, body)
	if wait := res.Header.Get("Retry-After"); res.StatusCode != 429 || wait == "" || !strings.Contains(raw, "rate_limit_exceeded") {
		t.Errorf("over the limit: %d, Retry-After %q, %s", res.StatusCode, wait, raw)
	}
	c, err := client.Dial(p.grpc, client.WithAPIKey(alice))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	generate := func() error {
		s, err := c.Generate(t.Context(), &sullaev1.GenerateRequest{Prompt: &sullaev1.GenerateRequest_Text{Text: "x"}})
		if err != nil {
			return err
		}
		defer s.Close()
		_, err = s.Recv()
		return err
	}
	err = generate()
	if e, ok := err.(*client.Error); !ok || e.Code != codes.ResourceExhausted || e.Reason != "RATE_LIMIT_EXCEEDED" || e.RetryAfter <= 0 || e.RetryAfter > 20*time.Second {
		t.Errorf("over the limit by gRPC: %+v", err)
	}
	if res, _ := call(t, "POST", p.http+"/cluster/workers/worker-0/drain", alice, ""); res.StatusCode != 403 {
		t.Errorf("alice drains: %d", res.StatusCode)
	}
	// What one key has uploaded is not there for another.
	form := "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{}\n\r\n--b--\r\n"
	req, _ := http.NewRequest("POST", p.http+"/v1/files", strings.NewReader(form))
	req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	req.Header.Set("Authorization", "Bearer "+alice)
	var file struct{ ID string }
	uploaded, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	err = json.NewDecoder(uploaded.Body).Decode(&file)
	uploaded.Body.Close()
	if err != nil || file.ID == "" {
		t.Fatalf("upload: %s, %v", uploaded.Status, err)
	}
	for key, want := range map[string]int{alice: 200, bob: 404, admin: 200} {
		for _, path := range []string{"/v1/files/" + file.ID, "/v1/files/" + file.ID + "/content"} {
			if res, _ := call(t, "GET", p.http+path, key, ""); res.StatusCode != want {
				t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
			}
		}
	}
	if _, raw := call(t, "GET", p.http+"/v1/files", bob, ""); strings.Contains(raw, file.ID) {
		t.Errorf("bob's list: %s", raw)
	}
	if res, _ := call(t, "DELETE", p.http+"/v1/files/"+file.ID, bob, ""); res.StatusCode != 404 {
		t.Errorf("bob deletes alice's file: %d", res.StatusCode)
	}
	if res, raw := call(t, "POST", p.http+"/v1/completions", admin, `{"prompt": "x", "max_tokens": 101}`); res.StatusCode != 400 || !strings.Contains(raw, "at most 100") {
		t.Errorf("a long answer: %d %s", res.StatusCode, raw)
	}
	t.Setenv("SULLAE_API_KEY", admin)
	if out := run(t, "status", "--http", p.http); !strings.Contains(out, "serving") {
		t.Errorf("status: %s", out)
	}
	if out := run(t, "generate", "--grpc", p.grpc, "--max-tokens", "2", "x"); out == "" {
		t.Error("generate with the key of the environment")
	}
	run(t, "keys", "remove", "--file", keys, "alice")
	eventually(t, 5*time.Second, "the removed key is refused", func() bool {
		res, _ := call(t, "GET", p.http+"/v1/models", alice, "")
		return res.StatusCode == 401
	})

	recorded, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	for line := range strings.Lines(string(recorded)) {
		var a struct {
			Caller, Outcome, Via string
			PromptTokens         int `json:"prompt_tokens"`
			CompletionTokens     int `json:"completion_tokens"`
			Input                []string
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		outcomes[a.Caller+" "+a.Via+" "+a.Outcome]++
		if a.Outcome == "ok" && (a.PromptTokens == 0 || a.CompletionTokens == 0) || a.Input != nil {
			t.Errorf("recorded: %s", line)
		}
	}
	if got := fmt.Sprint(outcomes); got != "map[alice grpc refused:1 alice http ok:3 alice http refused:1 root grpc ok:1 root http refused:1]" {
		t.Errorf("recorded: %s", got)
	}
	for _, secret := range []string{alice, admin} {
		if strings.Contains(p.log.String(), secret) || strings.Contains(string(recorded), secret) {
			t.Error("a key is in a log")
		}
	}
}

// TestAPITLS: both APIs by TLS with client certificates; another CA's client is
// refused, and a new certificate is taken up without a restart.
func TestAPITLS(t *testing.T) {
	dir, foreign := t.TempDir(), t.TempDir()
	run(t, "certs", dir, "--node-name", "localhost")
	run(t, "certs", foreign, "--node-name", "localhost")
	at := func(name string) string { return filepath.Join(dir, name) }
	p := up(t, "--workers", "1", "--tls-cert", at("node.pem"), "--tls-key", at("node-key.pem"), "--tls-client-ca", at("ca.pem"))
	https := "https://localhost" + strings.TrimPrefix(p.http, "http://127.0.0.1")
	mine := []string{"--ca", at("ca.pem"), "--client-cert", at("node.pem"), "--client-key", at("node-key.pem")}
	if out := run(t, append([]string{"status", "--http", https}, mine...)...); !strings.Contains(out, "serving") {
		t.Errorf("status: %s", out)
	}
	if out := run(t, append([]string{"generate", "--grpc", "localhost" + p.grpc[strings.LastIndex(p.grpc, ":"):], "--max-tokens", "2", "x"}, mine...)...); out == "" {
		t.Error("generate")
	}
	for _, other := range [][]string{
		{"--ca", at("ca.pem")},
		{"--ca", at("ca.pem"), "--client-cert", filepath.Join(foreign, "node.pem"), "--client-key", filepath.Join(foreign, "node-key.pem")},
		{"--ca", filepath.Join(foreign, "ca.pem")},
	} {
		if out, err := exec.Command(sullae, append([]string{"status", "--http", https}, other...)...).CombinedOutput(); err == nil {
			t.Errorf("%v: %s", other, out)
		}
	}
	serial := func() string {
		pool := x509.NewCertPool()
		raw, _ := os.ReadFile(at("ca.pem"))
		pool.AppendCertsFromPEM(raw)
		c, err := tls.Dial("tcp", strings.TrimPrefix(p.http, "http://"), &tls.Config{RootCAs: pool, ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	run(t, "certs", dir, "--node-name", "localhost", "--renew")
	eventually(t, 5*time.Second, "the new certificate is shown", func() bool { return serial() != first })
}
