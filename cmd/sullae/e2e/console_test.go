package e2e

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "folder for screenshots of the console")

// browser is a headless Chromium; the test is skipped where there is none.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium is installed")
	}
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()))...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			t.Errorf("the page failed: %s", e.ExceptionDetails.Text)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// TestConsole looks at the console in a real browser, at two sizes: the key is
// asked for, the cluster is a picture, the model answers in Korean by keyboard
// alone, and a killed worker is shown within 3 seconds.
func TestConsole(t *testing.T) {
	long(t)
	ctx := browser(t)
	keys := filepath.Join(t.TempDir(), "keys.json")
	secret := run(t, "keys", "add", "--file", keys, "console")
	p := up(t, "--workers", "3", "--threads", "1", "--api-keys", keys, "--lease-ttl", "20s") // a busy machine must not depose it
	do := func(what string, actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	shoot := func(name string) {
		t.Helper()
		png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if *screenshots != "" {
			if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	evaluate := func(expression string) string {
		t.Helper()
		s, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		return s
	}
	until := func(within time.Duration, expression string) time.Duration {
		t.Helper()
		began := time.Now()
		eventually(t, within, expression, func() bool { return evaluate(expression) == "true" })
		return time.Since(began)
	}
	// The page is used by keyboard alone.
	enter := func(id, keys string) {
		t.Helper()
		evaluate("document.getElementById('" + id + "').focus()")
		do(id, chromedp.KeyEvent(keys))
	}
	has := func(selector string) string { return "document.querySelector('" + selector + "') !== null" }

	do("sign in", chromedp.EmulateViewport(1440, 900), chromedp.Navigate(p.http))
	until(20*time.Second, has("#key"))
	shoot("sign-in")
	enter("key", "sk-wrong\r")
	until(20*time.Second, "document.getElementById('why').textContent !== ''")
	evaluate("document.getElementById('key').value = ''")
	enter("key", secret+"\r")
	until(20*time.Second, has(".phase.serving"))
	until(20*time.Second, "document.querySelectorAll('.node.alive').length === 3")

	enter("text", "12+30은 얼마인가요?\r") // the demo model is small: it answers, if not always rightly
	until(30*time.Second, has("#log .assistant .note:not(:empty)"))
	if answer := evaluate("document.querySelector('#log .assistant .body').textContent"); !strings.Contains(answer, "30") {
		t.Errorf("the model answered %q", answer)
	}
	until(20*time.Second, "document.querySelectorAll('#chart-list path').length > 3")
	shoot("wide")

	killed := evaluate("document.querySelector('.node.alive .name').textContent")
	for _, pid := range children(t, p.cmd.Process.Pid) {
		cmdline, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if strings.Contains(string(cmdline), "\x00"+killed+"\x00") {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	took := until(30*time.Second, has(".node.lost, .node.dead"))
	t.Logf("the console showed the killed worker %s after %v", killed, took)
	if took > 3*time.Second {
		t.Errorf("a killed worker is shown after %v, not within 3 s", took)
	}
	shoot("killed")

	do("phone", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	enter("language", "\r")
	until(10*time.Second, "document.documentElement.lang === 'ko' && document.getElementById('phase-text').textContent.length > 0")
	until(10*time.Second, "document.documentElement.scrollWidth <= window.innerWidth + 1")
	shoot("phone")
	enter("leave", "\r")
	until(20*time.Second, has("#key"))
}
