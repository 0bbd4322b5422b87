// Package audit keeps the record of requests for tokens: one JSON object a line,
// appended to a file. It never changes what it has written, and follows the file's
// name, so that the file may be rotated (moved away) at any time.
//
// A line is written at once, in one write. It is forced to the disk as Sync says:
// by default once a second, so that a crash of the host, not of the process, may
// cost the last second. A record that can't be written is an error in the log and
// in a metric; requests go on.
package audit

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sullae/sullae/coordinator/gateway"
)

// Sync says when lines are forced to the disk.
type Sync string

// The ways of Sync.
const (
	SyncSecond Sync = "second" // once a second, where there is something new
	SyncEach   Sync = "each"   // before the next line
	SyncNever  Sync = "never"  // when the system sees fit
)

// Config says where and how. Without a File nothing is recorded.
type Config struct {
	File    string
	Content bool // prompts and answers, too
	Sync    Sync // "": SyncSecond
}

// Log is an open record. A nil *Log records nothing.
type Log struct {
	cfg    Config
	log    *slog.Logger
	lines  prometheus.Counter
	failed prometheus.Counter
	quit   chan struct{}
	done   sync.WaitGroup

	mu    sync.Mutex
	f     *os.File
	dirty bool
}

// Open opens the file, or makes it (mode 0600).
func Open(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Log, error) {
	if cfg.File == "" {
		return nil, nil
	}
	if cfg.Sync == "" {
		cfg.Sync = SyncSecond
	}
	l := &Log{cfg: cfg, log: log, quit: make(chan struct{}),
		lines:  prometheus.NewCounter(prometheus.CounterOpts{Name: "sullae_audit_records_total", Help: "Requests recorded in the audit log."}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "sullae_audit_failures_total", Help: "Requests that could not be recorded."}),
	}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("--audit-log: %w", err)
	}
	reg.MustRegister(l.lines, l.failed)
	if cfg.Sync == SyncSecond {
		l.done.Go(l.syncEverySecond)
	}
	return l, nil
}

// Auditor is l, or nil where there is none.
func (l *Log) Auditor() gateway.Auditor {
	if l == nil {
		return nil
	}
	return l
}

func (l *Log) open() (err error) {
	l.f, err = os.OpenFile(l.cfg.File, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	return err
}

// Record implements gateway.Auditor.
func (l *Log) Record(a gateway.Audit) {
	line, err := json.Marshal(a)
	if err != nil {
		panic(err) // our own struct: a bug
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.write(append(line, '\n')); err != nil {
		l.failed.Inc()
		l.log.Error("a request could not be recorded in the audit log", "req", a.RequestID, "file", l.cfg.File, "err", err)
		return
	}
	l.lines.Inc()
}

// write appends a line to the file of that name, which may be another one by now.
func (l *Log) write(line []byte) error {
	if l.f == nil || l.moved() {
		if l.f != nil {
			l.f.Sync()
			l.f.Close()
			l.f = nil
		}
		if err := l.open(); err != nil {
			return err
		}
	}
	if _, err := l.f.Write(line); err != nil {
		return err
	}
	l.dirty = true
	if l.cfg.Sync == SyncEach {
		return l.sync()
	}
	return nil
}

// moved reports whether the name stands for another file, or for none.
func (l *Log) moved() bool {
	now, err := os.Stat(l.cfg.File)
	if err != nil {
		return true
	}
	ours, err := l.f.Stat()
	return err != nil || !os.SameFile(now, ours)
}

func (l *Log) sync() error {
	if !l.dirty || l.f == nil {
		return nil
	}
	l.dirty = false
	return l.f.Sync()
}

func (l *Log) syncEverySecond() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-l.quit:
			return
		case <-tick.C:
		}
		l.mu.Lock()
		err := l.sync()
		l.mu.Unlock()
		if err != nil {
			l.failed.Inc()
			l.log.Error("the audit log could not be forced to the disk", "file", l.cfg.File, "err", err)
		}
	}
}

// Close forces everything to the disk, and closes the file.
func (l *Log) Close() {
	if l == nil {
		return
	}
	close(l.quit)
	l.done.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sync()
	if l.f != nil {
		l.f.Close()
	}
}
