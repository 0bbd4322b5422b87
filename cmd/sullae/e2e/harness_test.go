package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sullae/sullae/coordinator/embedetcd"
	"github.com/sullae/sullae/coordinator/status"
)

// sullae is the command under test, built once.
var sullae string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "sullae-e2e-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if sullae = os.Getenv("SULLAE_TEST_BINARY"); sullae == "" {
			sullae = filepath.Join(dir, "sullae")
			build := exec.Command("go", "build", "-o", sullae, "github.com/sullae/sullae/cmd/sullae")
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

// long leaves a test out of -short runs. The binary under test is not built with
// the race detector, so such a run has little to gain from it.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("long")
	}
}

// process is a running `sullae up`.
type process struct {
	t          testing.TB
	cmd        *exec.Cmd
	tmp        string // its TMPDIR
	http, grpc string
	workers    int
	model      string
	log        *logBuffer
	lines      chan string // of stdout
	exited     chan error
}

// logBuffer keeps what a process wrote, for failures.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

var readyLine = regexp.MustCompile(`^ready http=(\S+) grpc=(\S+) workers=(\d+) model=(\S+)$`)

// up starts `sullae up` on free ports and waits for its ready line.
func up(t testing.TB, args ...string) *process {
	t.Helper()
	p := start(t, append([]string{"up", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"}, args...)...)
	return p
}

// start runs a serving command and waits for its ready line.
func start(t testing.TB, args ...string) *process {
	t.Helper()
	p := launch(t, args...)
	p.awaitReady()
	return p
}

// launch runs a serving command and ends it with the test.
func launch(t testing.TB, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(sullae, args...), tmp: t.TempDir(), log: &logBuffer{}, lines: make(chan string, 16), exited: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), "TMPDIR="+p.tmp)
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := p.exited
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
		close(p.lines)
		exited <- p.cmd.Wait()
	}()
	t.Cleanup(func() { p.stop(syscall.SIGTERM) })
	return p
}

// awaitReady reads the ready line.
func (p *process) awaitReady() {
	p.t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("%v ended before it was ready:\n%s", p.cmd.Args, p.log)
			}
			if m := readyLine.FindStringSubmatch(line); m != nil {
				p.http, p.grpc, p.model = "http://"+m[1], m[2], m[4]
				p.workers, _ = strconv.Atoi(m[3])
				return
			}
			p.t.Errorf("unexpected line on stdout: %q", line)
		case <-deadline:
			p.t.Fatalf("%v is not ready:\n%s", p.cmd.Args, p.log)
		}
	}
}

// stop ends the process with a signal and waits; a second call does nothing.
func (p *process) stop(sig syscall.Signal) {
	p.t.Helper()
	if p.exited == nil {
		return
	}
	p.cmd.Process.Signal(sig)
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		p.cmd.Process.Kill()
		<-p.exited
		p.t.Errorf("did not end within 20 s of %v:\n%s", sig, p.log)
	}
	p.exited = nil
}

// post sends JSON and decodes the answer; a status other than 200 is an error
// whose text is the body.
func (p *process) post(path string, body, answer any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", p.http+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, text)
	}
	return json.Unmarshal(text, answer)
}

// completion is an answer of /v1/completions.
type completion struct {
	Choices []struct {
		Index          int     `json:"index"`
		Text           string  `json:"text"`
		FinishReason   string  `json:"finish_reason"`
		TokenIDs       []int32 `json:"token_ids"`
		PromptTokenIDs []int32 `json:"prompt_token_ids"`
		Logprobs       *struct {
			Tokens        []string             `json:"tokens"`
			TokenLogprobs []*float32           `json:"token_logprobs"`
			TopLogprobs   []map[string]float32 `json:"top_logprobs"`
			TextOffset    []int                `json:"text_offset"`
		} `json:"logprobs"`
	} `json:"choices"`
	Usage struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	} `json:"usage"`
}

func (p *process) complete(body map[string]any) (c completion, err error) {
	err = p.post("/v1/completions", body, &c)
	return c, err
}

// chat asks one question of the demo model, greedily.
func (p *process) chat(messages ...string) string {
	p.t.Helper()
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	var ms []message
	for i, m := range messages {
		ms = append(ms, message{[]string{"user", "assistant"}[i%2], m})
	}
	var answer struct {
		Choices []struct {
			Message message `json:"message"`
		} `json:"choices"`
	}
	if err := p.post("/v1/chat/completions", map[string]any{"model": p.model, "messages": ms, "temperature": 0, "max_tokens": 64}, &answer); err != nil {
		p.t.Fatal(err)
	}
	return answer.Choices[0].Message.Content
}

// status is GET /cluster/status.
func (p *process) status() (s status.Cluster, err error) {
	res, err := http.Get(p.http + "/cluster/status")
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	return s, json.NewDecoder(res.Body).Decode(&s)
}

// refuses checks that one worker is counted as refused, for this reason.
func refuses(t *testing.T, p *process, reason string) {
	t.Helper()
	if _, text := call(t, "GET", p.http+"/metrics", "", ""); !strings.Contains(text, "sullae_workers_refused{reason=\""+reason+"\"} 1\n") || strings.Count(text, "\nsullae_workers_refused{") != 3 {
		t.Errorf("no worker is counted as refused for its %s", reason)
	}
}

// children are the pids of a process's children, by /proc.
func children(t testing.TB, pid int) []int {
	t.Helper()
	var out []int
	procs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range procs {
		raw, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		rest := string(raw[bytes.LastIndexByte(raw, ')')+1:])
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) && fields[0] != "Z" {
			child, _ := strconv.Atoi(strings.Split(f, "/")[2])
			out = append(out, child)
		}
	}
	slices.Sort(out)
	return out
}

func alive(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(raw[bytes.LastIndexByte(raw, ')')+1:])), "Z")
}

// eventually waits for a condition.
func eventually(t testing.TB, within time.Duration, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		if f() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// startEtcd starts an etcd for the test and returns where it is.
func startEtcd(t *testing.T) string {
	t.Helper()
	etcd, err := embedetcd.Start(t.Context(), embedetcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { etcd.Close() })
	return etcd.Endpoints()[0]
}
