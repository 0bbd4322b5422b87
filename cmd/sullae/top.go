package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/sullae/sullae/cmd/sullae/internal/screen"
	"github.com/sullae/sullae/cmd/sullae/internal/topview"
	"github.com/sullae/sullae/coordinator/status"
)

// topCmd is `sullae top`.
type topCmd struct {
	HTTP string `name:"http" default:"http://127.0.0.1:8080" placeholder:"URL" help:"A coordinator's HTTP address, with or without http:// (${default})."`
	accessFlags
	Every durationFlag `env:"-" default:"1s" help:"How often to look (${default})."`
}

// Help is shown below the flags.
func (topCmd) Help() string {
	return "Workers, ranks, where their steps' time goes, queue, KV cache and what happens, live. q or Ctrl-C quits."
}

// What begins and ends the use of the whole screen: the alternate one, without a
// cursor.
const (
	screenOn  = "\x1b[?1049h\x1b[?25l"
	screenOff = "\x1b[?25h\x1b[?1049l"
)

// Run shows the cluster until q is typed, or the context ends.
func (c *topCmd) Run(ctx context.Context) error {
	if !screen.IsTerminal(os.Stdin) || !screen.IsTerminal(os.Stdout) {
		return errors.New("top needs a terminal: use \"sullae status --watch\"")
	}
	if c.Every < 100*time.Millisecond {
		return fmt.Errorf("--every %v: must be at least 100ms", c.Every)
	}
	target, err := statusURL(c.HTTP)
	if err != nil {
		return err
	}
	client, err := c.http()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	was, err := term.MakeRaw(int(os.Stdin.Fd()))
	if err != nil {
		return err
	}
	io.WriteString(os.Stdout, screenOn)
	defer func() {
		io.WriteString(os.Stdout, screenOff)
		term.Restore(int(os.Stdin.Fd()), was)
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go quitOnKey(os.Stdin, cancel) // ends with the process, if no key is typed
	var m topview.Model
	look := time.NewTicker(c.Every)
	defer look.Stop()
	draw := time.NewTicker(200 * time.Millisecond) // the terminal may have got another size
	defer draw.Stop()
	statuses := make(chan func(*topview.Model), 1)
	ask := func() {
		go func() {
			f := fetchInto(ctx, client, target)
			select {
			case statuses <- f:
			case <-ctx.Done():
			}
		}()
	}
	ask()
	asking := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-statuses:
			f(&m)
			asking = false
		case <-look.C:
			if !asking {
				asking = true
				ask()
			}
		case <-draw.C:
		}
		width, height, err := term.GetSize(int(os.Stdout.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			width, height = 80, 24
		}
		lines := m.Lines(width, height, screen.For(os.Stdout))
		if _, err := io.WriteString(os.Stdout, "\x1b[H"+strings.Join(lines, "\x1b[K\r\n")+"\x1b[K\x1b[J"); err != nil {
			return err
		}
	}
}

// fetchInto looks at the cluster; the function it returns tells the model.
func fetchInto(ctx context.Context, client *http.Client, target string) func(*topview.Model) {
	body, err := fetchStatus(ctx, client, target)
	var s status.Cluster
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	at := time.Now()
	return func(m *topview.Model) {
		if err != nil {
			m.Fail(err)
			return
		}
		m.Update(s, at)
	}
}

// quitOnKey calls quit at q, Ctrl-C or Ctrl-D, or the input's end.
func quitOnKey(in io.Reader, quit func()) {
	defer quit()
	buf := make([]byte, 64)
	for {
		n, err := in.Read(buf)
		if err != nil || strings.ContainsAny(string(buf[:n]), "qQ\x03\x04") {
			return
		}
	}
}
