package zapslog

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func text(level slog.Level) (*slog.Logger, *bytes.Buffer) {
	var buf bytes.Buffer
	return slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})), &buf
}

func TestFieldsAndLevels(t *testing.T) {
	l, buf := text(slog.LevelDebug)
	z := New(l, Quiet).Named("etcd").With(zap.String("member", "m1"))
	z.Warn("slow", zap.Int("n", 3), zap.Error(errors.New("late")))
	z.Error("bad", zap.Namespace("at"), zap.String("key", "k"))
	want := []string{
		`level=DEBUG msg=slow member=m1 logger=etcd n=3 error=late`,
		`level=WARN msg=bad member=m1 logger=etcd at.key=k`,
	}
	if got := strings.TrimSpace(buf.String()); got != strings.Join(want, "\n") {
		t.Errorf("wrote:\n%s", got)
	}
}

func TestNothingBelowTheHandlersLevel(t *testing.T) {
	l, buf := text(slog.LevelInfo)
	z := New(l, Quiet)
	z.Warn("slow")
	if buf.Len() != 0 || z.Core().Enabled(zapcore.InfoLevel) {
		t.Errorf("wrote %q", buf)
	}
}

func TestFatalEndsTheGoroutineOnly(t *testing.T) {
	l, buf := text(slog.LevelInfo)
	done := make(chan bool, 1)
	go func() {
		defer close(done)
		New(l, Quiet).Fatal("gone")
		done <- true
	}()
	if <-done {
		t.Error("Fatal returned")
	}
	if !strings.Contains(buf.String(), "gone") {
		t.Errorf("wrote %q", buf)
	}
}
