package audit

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sullae/sullae/coordinator/gateway"
)

// TestRotation: lines of many goroutines stay whole, and follow the name.
func TestRotation(t *testing.T) {
	for _, mode := range []Sync{SyncSecond, SyncEach, SyncNever} {
		dir := t.TempDir()
		file := filepath.Join(dir, "audit.jsonl")
		l, err := Open(Config{File: file, Sync: mode}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		record := func() {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() { l.Record(gateway.Audit{RequestID: "r", Outcome: "ok", Reason: strings.Repeat("x", 300)}) })
			}
			all.Wait()
		}
		record()
		if err := os.Rename(file, file+".1"); err != nil {
			t.Fatal(err)
		}
		record()
		l.Close()
		for _, name := range []string{file, file + ".1"} {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
			for _, line := range lines {
				var a gateway.Audit
				if err := json.Unmarshal([]byte(line), &a); err != nil || a.RequestID != "r" {
					t.Errorf("%s: %q: %v", name, line, err)
				}
			}
			if info, _ := os.Stat(name); len(lines) != 20 || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %d lines, mode %v", name, len(lines), info.Mode())
			}
		}
	}
}

// TestFailure: what can't be written is counted, and what can again is written.
func TestFailure(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{File: filepath.Join(dir, "no", "f")}, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "--audit-log") {
		t.Error(err)
	}
	l, err := Open(Config{File: filepath.Join(dir, "f")}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l.Record(gateway.Audit{})
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l.Record(gateway.Audit{})
	if lines, failed := testutil.ToFloat64(l.lines), testutil.ToFloat64(l.failed); lines != 1 || failed != 1 {
		t.Errorf("%v recorded, %v failed", lines, failed)
	}
}
