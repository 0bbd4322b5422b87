package e2e

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sullae/sullae/shard/modeltest"
)

// fails runs the command, which must end by itself with an error that contains
// all of want and leave no file behind.
func fails(t *testing.T, args []string, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tmp := t.TempDir()
	cmd := exec.CommandContext(ctx, sullae, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%v does not end:\n%s", args, out)
	}
	if err == nil {
		t.Errorf("%v succeeds", args)
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			t.Errorf("%v: the error does not name %q:\n%s", args, w, out)
		}
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("%v leaves %v", args, left)
	}
}

// damaged is a copy of a golden model with one thing changed.
func damaged(t *testing.T, change func(dir string)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(dir, os.DirFS(modeltest.Dir(t, "exaone3-8h4kv-bf16-smallemb"))); err != nil {
		t.Fatal(err)
	}
	change(dir)
	return dir
}

func config(t *testing.T, dir string, fields map[string]any) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	maps.Copy(c, fields)
	raw, _ = json.Marshal(c)
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// patch overwrites bytes of the weights file at an offset from its data's start
// (negative: from the file's).
func patch(t *testing.T, dir string, at int, b []byte) {
	t.Helper()
	path := filepath.Join(dir, "model.safetensors")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at >= 0 {
		at += 8 + int(binary.LittleEndian.Uint64(raw))
	} else {
		at = -at - 1
	}
	copy(raw[at:], b)
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestBadModels: each damage is named with its file and field.
func TestBadModels(t *testing.T) {
	long(t)
	for name, c := range map[string]struct {
		change func(dir string)
		want   []string
	}{
		"no folder":            {func(d string) { os.RemoveAll(d) }, []string{"model"}},
		"no config":            {func(d string) { os.Remove(filepath.Join(d, "config.json")) }, []string{"config.json"}},
		"no weights":           {func(d string) { os.Remove(filepath.Join(d, "model.safetensors")) }, []string{"model.safetensors"}},
		"unknown architecture": {func(d string) { config(t, d, map[string]any{"architectures": []string{"MambaForCausalLM"}}) }, []string{"config.json", "MambaForCausalLM", "ExaoneForCausalLM"}},
		"no heads":             {func(d string) { config(t, d, map[string]any{"num_attention_heads": 0}) }, []string{"config.json", "num_attention_heads"}},
		"wrong shape":          {func(d string) { config(t, d, map[string]any{"intermediate_size": 168}) }, []string{"model.safetensors", "c_fc_0"}},
		"missing layer":        {func(d string) { config(t, d, map[string]any{"num_layers": 4}) }, []string{"transformer.h.3."}},
		"truncated":            {func(d string) { os.Truncate(filepath.Join(d, "model.safetensors"), 100000) }, []string{"model.safetensors", "truncated"}},
		"lying header":         {func(d string) { patch(t, d, -1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}) }, []string{"model.safetensors", "header"}},
		"a tokenizer too large": {func(d string) {
			raw, err := os.ReadFile(filepath.Join("..", "..", "..", "coordinator", "tokenizer", "testdata", "tokenizer.json"))
			if err != nil {
				t.Fatal(err)
			}
			os.WriteFile(filepath.Join(d, "tokenizer.json"), raw, 0o644)
		}, []string{"tokenizer.json", "vocab_size"}},
		"a broken tokenizer": {func(d string) { os.WriteFile(filepath.Join(d, "tokenizer.json"), []byte("{"), 0o644) }, []string{"tokenizer.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := damaged(t, c.change)
			fails(t, []string{"up", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--model", dir}, append(c.want, "error:")...)
		})
	}
}

// TestNaNWeights: found when a worker packs them; up ends with their name
// instead of serving noise or trying for ever.
func TestNaNWeights(t *testing.T) {
	long(t)
	dir := damaged(t, func(d string) { patch(t, d, 0, []byte{0xc0, 0x7f, 0xc0, 0x7f}) })
	fails(t, []string{"up", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--model", dir}, "transformer.", "NaN")
}

func TestBadFlags(t *testing.T) {
	long(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	free := []string{"--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"}
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"too many workers":    {append([]string{"up", "--workers", "9"}, free...), []string{"--workers 9", "8 query heads"}},
		"no workers":          {append([]string{"up", "--workers", "0"}, free...), []string{"--workers 0"}},
		"port in use":         {[]string{"up", "--http", busy.Addr().String(), "--grpc", "127.0.0.1:0"}, []string{"--http", busy.Addr().String(), "in use"}},
		"unreachable etcd":    {append([]string{"up", "--etcd", "127.0.0.1:1"}, free...), []string{"--etcd", "127.0.0.1:1"}},
		"worker without etcd": {[]string{"worker"}, []string{"--etcd"}},
		"bad gossip key":      {[]string{"worker", "--etcd", "127.0.0.1:1", "--gossip-key", "c2hvcnQ="}, []string{"--gossip-key", "16, 24 or 32"}},
		"too few KV tokens":   {append([]string{"up", "--kv-tokens", "3"}, free...), []string{"--kv-tokens 3"}},
		"too many KV tokens":  {append([]string{"up", "--kv-tokens", "20000000000"}, free...), []string{"--kv-tokens 20000000000", "room for"}},
		"a worker that can't": {append([]string{"up", "--device", "tpu"}, free...), []string{"--device tpu", "worker-0 could not start"}},
		"no batch folder":     {append([]string{"up", "--batch-dir", "/proc/x"}, free...), []string{"--batch-dir /proc/x"}},
		"no policy's port":    {append([]string{"up", "--policy", "nowhere"}, free...), []string{"--policy nowhere", "HOST:PORT"}},
		"no collector's URL":  {append([]string{"up", "--otlp-endpoint", "::bad"}, free...), []string{"--otlp-endpoint ::bad"}},
		"unknown kernels":     {[]string{"worker", "--etcd", "127.0.0.1:1", "--cpu-variant", "mmx"}, []string{"--cpu-variant", "mmx"}},
	} {
		t.Run(name, func(t *testing.T) { fails(t, c.args, append(c.want, "error:")...) })
	}
}

// TestBadRequests: each is refused with the field's name.
func TestBadRequests(t *testing.T) {
	p := up(t)
	for name, c := range map[string]struct {
		path string
		body map[string]any
		want []string
	}{
		"unknown model":            {"/v1/completions", map[string]any{"model": "gpt", "prompt": "x"}, []string{"404", "gpt", "demo"}},
		"long prompt":              {"/v1/completions", map[string]any{"prompt": make([]int, 3000)}, []string{"400", "3000", "2048"}},
		"too many tokens":          {"/v1/completions", map[string]any{"prompt": []int{1}, "max_tokens": 5000}, []string{"400", "max_tokens", "2048"}},
		"id out of range":          {"/v1/completions", map[string]any{"prompt": []int{99999}}, []string{"400", "99999"}},
		"bad temperature":          {"/v1/completions", map[string]any{"prompt": "x", "temperature": -1}, []string{"400", "temperature"}},
		"no messages":              {"/v1/chat/completions", map[string]any{"messages": []any{}}, []string{"400", "messages"}},
		"no tools in its template": {"/v1/chat/completions", map[string]any{"messages": []any{map[string]any{"role": "user", "content": "x"}}, "tools": []any{map[string]any{"type": "function", "function": map[string]any{"name": "f"}}}}, []string{"400", "tools", "takes none"}},
	} {
		t.Run(name, func(t *testing.T) {
			var a any
			err := p.post(c.path, c.body, &a)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error does not name %q: %v", w, err)
				}
			}
		})
	}
}

// TestTokenIDsOnly: a folder without tokenizer.json is served for token ids, and
// text endpoints say so.
func TestTokenIDsOnly(t *testing.T) {
	p := up(t, "--model", modeltest.Dir(t, "exaone3-8h4kv-bf16-smallemb"))
	if _, err := p.complete(map[string]any{"prompt": []int{1, 2, 3}, "max_tokens": 3}); err != nil {
		t.Error(err)
	}
	for path, body := range map[string]map[string]any{
		"/v1/completions":      {"prompt": "text"},
		"/v1/chat/completions": {"messages": []any{map[string]any{"role": "user", "content": "x"}}},
		"/tokenize":            {"prompt": "text"},
	} {
		var a any
		if err := p.post(path, body, &a); err == nil || !strings.Contains(err.Error(), "tokenizer") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
