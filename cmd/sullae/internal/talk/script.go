package talk

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxLine is the longest line of a script, in bytes.
const maxLine = 16 << 20

// FromScript takes every line of in as a turn and writes the answers to out,
// each with a line break; notes go to aside. The first error ends it.
func (s *Session) FromScript(ctx context.Context, in io.Reader, out, aside io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	n := 0
	fail := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("line %d of the input: %w", n, err)
	}
	for lines.Scan() {
		n++
		line := lines.Text()
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff") // a byte order mark
		}
		if !utf8.ValidString(line) {
			return fail(fmt.Errorf("not UTF-8; convert the file first"))
		}
		c, err := parse(line)
		switch {
		case err != nil:
			return fail(err)
		case c.name == "/exit":
			return nil
		case c.name != "":
			fmt.Fprint(aside, s.apply(c))
			continue
		case c.text == "":
			continue
		}
		a, err := s.Ask(ctx, c.text, func(text string) { io.WriteString(out, text) })
		if err != nil {
			return fail(err)
		}
		if _, err := io.WriteString(out, "\n"); err != nil {
			return err
		}
		for _, note := range s.notes(a) {
			fmt.Fprintf(aside, "line %d: %s\n", n, note)
		}
	}
	if err := lines.Err(); err != nil {
		n++
		return fail(err)
	}
	return nil
}
