package chaos

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// restartPause is the wait before a process that ended is started again, as a
// service manager would.
const restartPause = time.Second

// node is a process of the cluster, started again when it ends.
type node struct {
	c    *Cluster
	name string
	host int
	args []string

	mu      sync.Mutex
	cmd     *exec.Cmd     // that runs; nil: none
	ended   chan struct{} // closed when cmd has ended
	held    bool          // not to be started
	stopped bool          // by SIGSTOP
	wake    chan struct{} // capacity 1: held has changed
}

func (c *Cluster) newNode(name string, host int, args ...string) *node {
	n := &node{c: c, name: name, host: host, args: args, wake: make(chan struct{}, 1)}
	c.nodes = append(c.nodes, n)
	return n
}

// pinned runs f on a thread that lives as long as f: children's death signal is
// tied to it.
func pinned(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f()
}

// supervise keeps the process running until the cluster closes.
func (n *node) supervise() {
	log, err := os.OpenFile(filepath.Join(n.c.cfg.Dir, n.name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		n.c.violate("%s: %v", n.name, err)
		return
	}
	defer log.Close()
	for {
		n.mu.Lock()
		held := n.held
		n.mu.Unlock()
		if held {
			select {
			case <-n.wake:
				continue
			case <-n.c.closing:
				return
			}
		}
		select { // before the process is started: nothing starts once closing
		case <-n.c.closing:
			return
		default:
		}
		cmd := exec.Command(n.c.cfg.Binary, n.args...)
		cmd.Env = append(os.Environ(), "TMPDIR="+n.c.cfg.Dir)
		cmd.Stderr, cmd.Stdout = &lineWriter{n: n, file: log}, log
		cmd.SysProcAttr = childAttr()
		done, err := n.c.net.Start(n.host, cmd)
		if err != nil {
			n.c.violate("start %s: %v", n.name, err)
			return
		}
		ended := make(chan struct{})
		n.mu.Lock()
		n.cmd, n.ended, n.stopped = cmd, ended, false
		n.mu.Unlock()
		err = <-done
		n.mu.Lock()
		n.cmd = nil
		n.mu.Unlock()
		close(ended)
		fmt.Fprintf(log, "--- %s ended: %v\n", n.name, err)
		select {
		case <-time.After(restartPause):
		case <-n.c.closing:
			return
		}
	}
}

// pid is 0 while the process does not run.
func (n *node) pid() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return 0
	}
	return n.cmd.Process.Pid
}

// signal sends sig, if the process runs.
func (n *node) signal(sig syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return
	}
	switch sig {
	case syscall.SIGSTOP:
		n.stopped = true
	case syscall.SIGCONT:
		n.stopped = false
	}
	n.cmd.Process.Signal(sig)
}

// hold keeps the process from being started again; release lets it.
func (n *node) hold(held bool) {
	n.mu.Lock()
	n.held = held
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// end sends sig and waits until the process has ended; what lasts longer than
// timeout is killed, and a hang.
func (n *node) end(sig syscall.Signal, timeout time.Duration) {
	n.mu.Lock()
	cmd, ended := n.cmd, n.ended
	if cmd != nil && n.stopped {
		cmd.Process.Signal(syscall.SIGCONT)
	}
	n.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Signal(sig)
	select {
	case <-ended:
	case <-time.After(timeout):
		n.c.violate("%s did not end within %v of %v", n.name, timeout, sig)
		cmd.Process.Kill()
		<-ended
	}
}

// lineWriter keeps a process's log, and shows its lines to the cluster.
type lineWriter struct {
	n    *node
	file *os.File
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.file.Write(p)
	w.rest = append(w.rest, p...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		w.n.c.logged(w.n, line)
		w.rest = append([]byte(nil), rest...)
	}
}
