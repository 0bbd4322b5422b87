// Package zapslog lets a library that logs through zap write to a log/slog
// logger instead. etcd's client and server are such libraries; nothing else
// here knows zap.
package zapslog

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Levels says at which slog level an entry of a zap level is written. A library
// calls many things a warning that its user does not need to see.
type Levels func(zapcore.Level) slog.Level

// Quiet is for a library whose own errors are reported by its caller: everything
// below an error is debug output.
func Quiet(l zapcore.Level) slog.Level {
	if l < zapcore.ErrorLevel {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// New returns a zap logger that writes to l with the given levels. Its Fatal
// ends the calling goroutine, not the process; its Panic panics, as zap's does.
func New(l *slog.Logger, levels Levels) *zap.Logger {
	return zap.New(&core{handler: l.Handler(), levels: levels}, zap.WithFatalHook(zapcore.WriteThenGoexit))
}

// core writes zap entries to a slog handler. It is immutable: With copies.
type core struct {
	handler slog.Handler
	levels  Levels
}

// Enabled reports whether an entry of level l would be written anywhere.
func (c *core) Enabled(l zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), c.levels(l))
}

// With returns a core that adds fields to each of its entries.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{handler: c.handler.WithAttrs(attrs(fields)), levels: c.levels}
}

// Check adds the core to those that write the entry.
func (c *core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write writes one entry.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, c.levels(e.Level), e.Message, 0)
	if e.LoggerName != "" {
		r.AddAttrs(slog.String("logger", e.LoggerName))
	}
	r.AddAttrs(attrs(fields)...)
	return c.handler.Handle(context.Background(), r)
}

// Sync has nothing to do: slog handlers do not buffer.
func (c *core) Sync() error { return nil }

// attrs turns zap's fields into slog's. A namespace field opens a group that
// holds all fields after it, as in zap.
func attrs(fields []zapcore.Field) []slog.Attr {
	out := make([]slog.Attr, 0, len(fields))
	for i, f := range fields {
		if f.Type == zapcore.NamespaceType {
			return append(out, slog.Attr{Key: f.Key, Value: slog.GroupValue(attrs(fields[i+1:])...)})
		}
		enc := zapcore.NewMapObjectEncoder()
		f.AddTo(enc)
		// One field may encode as two entries: an error and its verbose form.
		if v, ok := enc.Fields[f.Key]; ok {
			out = append(out, slog.Any(f.Key, v))
		}
	}
	return out
}
