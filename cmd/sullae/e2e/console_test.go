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
	p := up(t, "--workers", "3", "--threads", "1", "--api-keys", keys)
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
	text := func(selector string) string {
		t.Helper()
		s, err := chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS(selector)))
		if err != nil {
			t.Fatalf("%s: %v", selector, err)
		}
		return s
	}
	do("sign in", chromedp.EmulateViewport(1440, 900), chromedp.Navigate(p.http), chromedp.WaitVisible(chromedp.CSS("#key")))
	shoot("sign-in")
	do("a wrong key", chromedp.SendKeys(chromedp.CSS("#key"), "sk-wrong\r"), chromedp.WaitVisible(chromedp.CSS("#why:not(:empty)")))
	do("the right key", chromedp.SetValue(chromedp.CSS("#key"), ""), chromedp.SendKeys(chromedp.CSS("#key"), secret+"\r"),
		chromedp.WaitVisible(chromedp.CSS(".phase.serving")), chromedp.WaitVisible(chromedp.CSS(".node.alive")))
	if n := nodes(t, ctx, ".node.alive"); n != 3 {
		t.Errorf("%d workers in the picture", n)
	}

	// By keyboard: the skip link leads to the chat, whose next stop is the log, then
	// the samples.
	do("chat", chromedp.Focus(chromedp.CSS("#text")), chromedp.SendKeys(chromedp.CSS("#text"), "12+30은 얼마인가요?\r"),
		chromedp.WaitVisible(chromedp.CSS("#log .assistant .note:not(:empty)")))
	if answer := text("#log .assistant .body"); !strings.Contains(answer, "42") {
		t.Errorf("the model answered %q", answer)
	}
	time.Sleep(2 * time.Second) // for the charts
	shoot("wide")

	victims := children(t, p.cmd.Process.Pid)
	killed := text(".node.alive .name")
	for _, pid := range victims {
		cmdline, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if strings.Contains(string(cmdline), "\x00"+killed+"\x00") {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(within, chromedp.WaitVisible(chromedp.CSS(".node.lost, .node.dead"))); err != nil {
		t.Fatalf("the killed worker %s is not shown as lost: %v", killed, err)
	}
	took := time.Since(began)
	t.Logf("the console showed the killed worker after %v", took)
	if took > 3*time.Second {
		t.Errorf("a killed worker is shown after %v, not within 3 s", took)
	}
	shoot("killed")

	do("phone", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile), chromedp.Sleep(time.Second), chromedp.Click(chromedp.CSS("#language")), chromedp.Sleep(time.Second))
	if wide, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > window.innerWidth + 1")); err != nil || wide {
		t.Errorf("the page is wider than a phone: %v", err)
	}
	shoot("phone")
	do("sign out", chromedp.Click(chromedp.CSS("#leave")), chromedp.WaitVisible(chromedp.CSS("#key")))
}

// nodes counts what a selector finds.
func nodes(t *testing.T, ctx context.Context, selector string) int {
	t.Helper()
	n, err := chromedp.Run(ctx, chromedp.Evaluate[int]("document.querySelectorAll('"+selector+"').length"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
