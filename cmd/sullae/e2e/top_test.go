package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTop looks at `sullae top` in tmux, a virtual terminal: it shows the ranks, a
// killed one, fits another size, and q gives the terminal back.
func TestTop(t *testing.T) {
	long(t)
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("no tmux is installed")
	}
	p := up(t, "--workers", "2", "--threads", "1", "--lease-ttl", "20s")
	socket := filepath.Join(t.TempDir(), "tmux")
	tmux := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("tmux", append([]string{"-S", socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	tmux("new-session", "-d", "-x", "140", "-y", "30", "sh -c '"+sullae+" top --http "+p.http+"; echo given back; sleep 60'")
	t.Cleanup(func() { exec.Command("tmux", "-S", socket, "kill-server").Run() })
	shown := func(within time.Duration, wants ...string) {
		t.Helper()
		text := ""
		for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			text = tmux("capture-pane", "-p")
			missing := false
			for _, w := range wants {
				missing = missing || !strings.Contains(text, w)
			}
			if !missing {
				return
			}
		}
		t.Fatalf("not shown within %v: %q\n%s", within, wants, text)
	}
	shown(20*time.Second, "sullae", "serving", "worker-0", "worker-1", "running", "KV", "q quits")
	if _, err := p.stream(1); err != nil {
		t.Fatal(err)
	}
	for _, pid := range children(t, p.cmd.Process.Pid)[:1] {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	shown(10*time.Second, "lost")
	tmux("resize-window", "-x", "60", "-y", "12")
	shown(10*time.Second, "q quits")
	if lines := strings.Split(strings.TrimRight(tmux("capture-pane", "-p"), "\n"), "\n"); len(lines) > 12 {
		t.Errorf("%d lines on a screen of 12", len(lines))
	}
	tmux("send-keys", "q")
	shown(10*time.Second, "given back")
}
