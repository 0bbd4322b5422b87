package screen

import (
	"bytes"
	"os"
	"testing"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"안녕\n\tabc 👍":          "안녕\n\tabc 👍",
		"a\x1b[31mb\x07\u009b": "a\uFFFD[31mb\uFFFD\uFFFD",
		"\r\x7f":               "\uFFFD\uFFFD",
	} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	got := Table([][]Cell{
		{{Text: "이름"}, {Text: "n", Right: true}, {Text: "last"}},
		{{Text: "abcdef", Style: "\x1b[1m"}, {Text: "1000", Right: true}, {Text: "x"}},
		{{Text: "한글날"}, {Text: "7", Right: true}, {}},
	})
	want := "이름       n  last\n\x1b[1mabcdef\x1b[0m  1000  x\n한글날     7\n"
	if got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestPalette(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if For(&bytes.Buffer{}) != (Palette{}) || For(null) != (Palette{}) {
		t.Error("colours where there is no terminal")
	}
	if got := Style("").Paint("a"); got != "a" {
		t.Errorf("no style gives %q", got)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "0.98 KiB", 768000: "750 KiB", 5 << 30: "5.00 GiB", 1 << 52: "4096 TiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}
