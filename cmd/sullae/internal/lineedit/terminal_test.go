package lineedit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// output collects what is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// open is a Terminal whose input is a pipe.
func open(t *testing.T) (*Terminal, io.Writer, *output) {
	in, keys := io.Pipe()
	out := &output{}
	term := New(in, out, func() (int, int) { return 20, 10 })
	t.Cleanup(func() {
		if err := term.Close(); err != nil {
			t.Error(err)
		}
		keys.Close()
	})
	return term, keys, out
}

func TestReadLine(t *testing.T) {
	term, keys, out := open(t)
	go io.WriteString(keys, "안녕하\x7f\r두번째\x1b[D\x1b[D\x7f첫\rx\x03\x03\x04")
	for i, want := range []struct {
		line string
		err  error
	}{{"안녕", nil}, {"첫번째", nil}, {"", ErrInterrupted}, {"", io.EOF}} {
		line, err := term.ReadLine(t.Context(), "> ", "")
		if line != want.line || !errors.Is(err, want.err) {
			t.Errorf("line %d: %q, %v; want %q, %v", i, line, err, want.line, want.err)
		}
	}
	if got := out.String(); !strings.Contains(got, "> x^C") || !strings.HasPrefix(got, pasteOn) {
		t.Errorf("wrote %q", got)
	}
}

func TestReadLineEnds(t *testing.T) {
	term, keys, _ := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := term.ReadLine(ctx, "> ", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	keys.(io.Closer).Close()
	if _, err := term.ReadLine(t.Context(), "> ", ""); err != io.EOF {
		t.Errorf("at the input's end: %v", err)
	}
}

// While an answer is written, Ctrl-C stops it; other keys wait for their line.
func TestWatch(t *testing.T) {
	term, keys, _ := open(t)
	watched, stop := term.Watch(t.Context())
	io.WriteString(keys, "미리")
	stop()
	if watched.Err() == nil {
		t.Error("stop leaves the context open")
	}
	go io.WriteString(keys, "\r")
	if line, err := term.ReadLine(t.Context(), "> ", ""); line != "미리" || err != nil {
		t.Errorf("typed ahead: %q, %v", line, err)
	}

	watched, stop = term.Watch(t.Context())
	io.WriteString(keys, "버림\x03")
	<-watched.Done()
	stop()
	if !errors.Is(context.Cause(watched), ErrInterrupted) {
		t.Errorf("cause %v", context.Cause(watched))
	}
	go io.WriteString(keys, "다음\r")
	if line, _ := term.ReadLine(t.Context(), "> ", ""); line != "다음" {
		t.Errorf("after Ctrl-C: %q", line)
	}
}

func TestWrite(t *testing.T) {
	term, _, out := open(t)
	if n, err := term.Write([]byte("가\n나\n")); n != 8 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if got := strings.TrimPrefix(out.String(), pasteOn); got != "가\r\n나\r\n" {
		t.Errorf("wrote %q", got)
	}
}
