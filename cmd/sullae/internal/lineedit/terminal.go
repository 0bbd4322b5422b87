package lineedit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// ErrInterrupted is Ctrl-C: without a text in ReadLine, or as the cause of the
// context that Watch gives.
var ErrInterrupted = errors.New("interrupted")

// Terminal reads lines from a terminal in raw mode. ReadLine and Watch are for
// one goroutine; Write may be called while Watch watches, but not during
// ReadLine.
type Terminal struct {
	out     io.Writer
	size    func() (width, height int)
	restore func() error

	keys    chan Key // closed at the end of the input
	closing chan struct{}
	resized <-chan os.Signal
	backlog []Key // typed while nobody read

	editor editor
	shown  frame
}

// Open takes over a terminal: its input, and its output, which has the width.
// Close gives it back.
func Open(in, out *os.File) (*Terminal, error) {
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	resized, stop := notifyResize()
	t := New(in, out, func() (int, int) {
		w, h, err := term.GetSize(int(out.Fd()))
		if err != nil || w <= 0 || h <= 0 {
			return 80, 24
		}
		return w, h
	})
	t.resized = resized
	t.restore = func() error {
		stop()
		return term.Restore(int(in.Fd()), state)
	}
	return t, nil
}

// New is a Terminal over an input that is in raw mode already, and an output of
// a known size.
func New(in io.Reader, out io.Writer, size func() (int, int)) *Terminal {
	t := &Terminal{
		out: out, size: size, restore: func() error { return nil },
		keys: make(chan Key), closing: make(chan struct{}),
	}
	io.WriteString(out, pasteOn)
	go t.read(in)
	return t
}

// read sends keys until the input or the Terminal ends. Reading from a terminal
// can't be broken off, so after Close it waits for one key more.
func (t *Terminal) read(in io.Reader) {
	defer close(t.keys)
	var d decoder
	buf := make([]byte, 4096)
	for {
		n, err := in.Read(buf)
		for _, k := range d.feed(buf[:n]) {
			select {
			case t.keys <- k:
			case <-t.closing:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Close gives the terminal back as it was.
func (t *Terminal) Close() error {
	close(t.closing)
	io.WriteString(t.out, pasteOff)
	return t.restore()
}

// Width is the terminal's width in columns.
func (t *Terminal) Width() int {
	w, _ := t.size()
	return w
}

// Write writes text; in raw mode a line break needs a carriage return too.
func (t *Terminal) Write(p []byte) (int, error) {
	if _, err := t.out.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ReadLine shows a prompt, in a style (an escape sequence, or ""), and lets the
// user edit a line until Enter. It returns ErrInterrupted after Ctrl-C and
// io.EOF after Ctrl-D or the input's end. A line may hold line breaks, from a
// paste or Alt-Enter.
func (t *Terminal) ReadLine(ctx context.Context, prompt, style string) (string, error) {
	t.shown = frame{}
	t.redraw(prompt, style)
	for {
		k, err := t.next(ctx, func() { t.redraw(prompt, style) })
		if err != nil {
			t.leaveLine(prompt, style, t.editor.line)
			return "", err
		}
		before := t.editor.line
		outcome, text := t.editor.press(k)
		switch outcome {
		case Submitted:
			t.leaveLine(prompt, style, before)
			return text, nil
		case Quit:
			t.leaveLine(prompt, style, before)
			return "", ErrInterrupted
		case Ended:
			t.leaveLine(prompt, style, before)
			return "", io.EOF
		case Cancelled:
			before.text += "^C"
			t.leaveLine(prompt, style, before)
			t.shown = frame{}
		case Cleared:
			io.WriteString(t.out, clearScreen)
			t.shown = frame{}
		}
		if len(t.backlog) == 0 { // else the next key draws
			t.redraw(prompt, style)
		}
	}
}

// next waits for a key; resized is called when the terminal has another size.
func (t *Terminal) next(ctx context.Context, resized func()) (Key, error) {
	if len(t.backlog) > 0 {
		k := t.backlog[0]
		t.backlog = t.backlog[1:]
		return k, nil
	}
	for {
		select {
		case k, ok := <-t.keys:
			if !ok {
				return Key{}, io.EOF
			}
			return k, nil
		case <-t.resized:
			resized()
		case <-ctx.Done():
			return Key{}, ctx.Err()
		}
	}
}

// redraw replaces what is shown of the line.
func (t *Terminal) redraw(prompt, style string) {
	w, h := t.size()
	now := layout(prompt, t.editor.text, t.editor.at, w).clip(h)
	io.WriteString(t.out, draw(t.shown, now, w, prompt, style))
	t.shown = now
}

// leaveLine shows a line whole and goes to the row below it.
func (t *Terminal) leaveLine(prompt, style string, l line) {
	w, _ := t.size()
	now := layout(prompt, l.text, len(l.text), w)
	io.WriteString(t.out, draw(t.shown, now, w, prompt, style)+"\r\n")
	t.shown = frame{}
}

// Watch looks at the keys while the caller writes: Ctrl-C ends the context that
// it returns, with ErrInterrupted as its cause, and forgets what was typed
// ahead; other keys are kept for the next ReadLine. stop must be called before
// it.
func (t *Terminal) Watch(ctx context.Context) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case k, ok := <-t.keys:
				switch {
				case !ok:
					return
				case k.Op == Interrupt:
					t.backlog = nil
					cancel(ErrInterrupted)
				default:
					t.backlog = append(t.backlog, k)
				}
			case <-watched.Done():
				return
			}
		}
	})
	return watched, func() {
		cancel(nil)
		wg.Wait()
	}
}
