package talk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sullae/sullae/cmd/sullae/internal/lineedit"
	"github.com/sullae/sullae/cmd/sullae/internal/screen"
)

const prompt = "> "

// InTerminal talks with the user of a terminal until Ctrl-D, Ctrl-C on an empty
// line, or /exit. A failed question doesn't end the conversation: the arrow keys
// bring it back.
func (s *Session) InTerminal(ctx context.Context, t *lineedit.Terminal, p screen.Palette) error {
	fmt.Fprintln(t, p.Dim.Paint(fmt.Sprintf("%s at %s. /help lists the commands, Ctrl-D leaves.", screen.Printable(s.Model.GetId()), s.Cluster.Addr)))
	for {
		line, err := t.ReadLine(ctx, prompt, string(p.Bold))
		if errors.Is(err, io.EOF) || errors.Is(err, lineedit.ErrInterrupted) {
			return nil
		}
		if err != nil {
			return err
		}
		c, err := parse(line)
		switch {
		case err != nil:
			fmt.Fprintln(t, p.Red.Paint(err.Error()))
			continue
		case c.name == "/exit":
			return nil
		case c.name != "":
			fmt.Fprint(t, p.Dim.Paint(s.apply(c)))
			continue
		case c.text == "":
			continue
		}
		if err := s.show(ctx, t, p, c.text); err != nil {
			return err
		}
	}
}

// show asks and shows the answer as it comes. It returns ctx's error alone.
func (s *Session) show(ctx context.Context, t *lineedit.Terminal, p screen.Palette, question string) error {
	watched, stop := t.Watch(ctx)
	last := "\n"
	a, err := s.Ask(watched, question, func(text string) {
		if text != "" {
			last = text
		}
		io.WriteString(t, screen.Printable(text))
	})
	stop()
	if !strings.HasSuffix(last, "\n") {
		fmt.Fprintln(t)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, lineedit.ErrInterrupted):
		a.Stopped = true
	case err != nil:
		fmt.Fprintln(t, p.Red.Paint("error: "+screen.Printable(err.Error())))
	}
	for _, note := range s.notes(a) {
		fmt.Fprintln(t, p.Dim.Paint("("+note+")"))
	}
	fmt.Fprintln(t)
	return nil
}
