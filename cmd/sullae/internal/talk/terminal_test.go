package talk

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/sullae/sullae/cmd/sullae/internal/fakecluster"
	"github.com/sullae/sullae/cmd/sullae/internal/lineedit"
	"github.com/sullae/sullae/cmd/sullae/internal/screen"
)

var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

func TestInTerminal(t *testing.T) {
	fake := fakecluster.Echo()
	s := session(t, fake)
	in, keys := io.Pipe()
	var out bytes.Buffer
	term := lineedit.New(in, &out, func() (int, int) { return 60, 20 })
	go func() {
		io.WriteString(keys, "안녕하\x7f\r\x1b[200~두 줄\r입니다\x1b[201~\r/nope\r/clear\r다시\x1b[31m\r")
		keys.Close()
	}()
	if err := s.InTerminal(t.Context(), term, screen.Palette{}); err != nil {
		t.Fatal(err)
	}
	if err := term.Close(); err != nil {
		t.Fatal(err)
	}
	text := escapes.ReplaceAllString(out.String(), "")
	for _, want := range []string{
		"/help lists the commands", "\r\nu: 안녕\r\n", "\r\nuau: 두 줄\r\n입니다\r\n", "/nope is no command", "The conversation is forgotten.\r\n", "\r\nu: 다시\r\n",
	} {
		i := strings.Index(text, want)
		if i < 0 {
			t.Fatalf("%q is missing in %q", want, text)
		}
		text = text[i+len(want):]
	}
}

func TestFromScript(t *testing.T) {
	for _, c := range []struct{ in, out, err string }{
		{"안녕\n\n/system 짧게\r\n하나\n둘", "u: 안녕\nsu: 하나\nsuau: 둘\n", ""},
		{"\ufeff안녕\n/exit\n둘\n", "u: 안녕\n", ""},
		{"하나\n/foo\n둘\n", "u: 하나\n", "line 2 of the input: /foo is no command"},
		{"하나\nab\xff\n", "u: 하나\n", "line 2 of the input: not UTF-8"},
		{"", "", ""},
	} {
		s := session(t, fakecluster.Echo())
		var out bytes.Buffer
		err := s.FromScript(t.Context(), strings.NewReader(c.in), &out, io.Discard)
		if out.String() != c.out || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: wrote %q, %v; want %q, %q", c.in, out.String(), err, c.out, c.err)
		}
	}
}
