package lineedit

import (
	"slices"
	"testing"
)

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name, bytes string
		want        []Key
	}{
		{"letters", "abc", []Key{{Text, "abc"}}},
		{"Hangul and Enter", "안녕\r", []Key{{Text, "안녕"}, {Op: Enter}}},
		{"LF is Enter too", "a\n", []Key{{Text, "a"}, {Op: Enter}}},
		{"arrows", "\x1b[A\x1b[B\x1b[C\x1b[D\x1bOA\x1bOD", ops(Up, Down, Right, Left, Up, Left)},
		{"Home and End", "\x1b[H\x1b[F\x1bOH\x1bOF\x1b[1~\x1b[4~\x1b[7~\x1b[8~", ops(Home, End, Home, End, Home, End, Home, End)},
		{"Delete", "\x1b[3~\x7f\b", ops(Delete, Backspace, Backspace)},
		{"words", "\x1b[1;5C\x1b[1;5D\x1bb\x1bf\x1bd\x1b\x7f\x17", ops(WordRight, WordLeft, WordLeft, WordRight, DeleteWordRight, DeleteWordLeft, DeleteWordLeft)},
		{"control keys", "\x01\x05\x02\x06\x0b\x15\x19\x0c\x03\x04\x10\x0e", ops(Home, End, Left, Right, KillRight, KillLeft, Yank, ClearScreen, Interrupt, EndOfText, Up, Down)},
		{"Alt-Enter", "\x1b\r\x1b[13;2u", ops(Newline, Newline)},
		{"unknown sequences do nothing", "\x1b[15~\x1b[99;99Zx\x1b[[Ay\x1b[<0;1;1Mz", []Key{{Text, "xyz"}}},
		{"Escape before a letter", "\x1bx\x1b가", []Key{{Text, "x가"}}},
		{"Escape twice before an arrow", "\x1b\x1b[A", ops(Up)},
		{"other control characters do nothing", "a\x00\x1c\tb", []Key{{Text, "ab"}}},
		{"broken UTF-8", "a\xffb", []Key{{Text, "a\uFFFDb"}}},
		{"paste", "\x1b[200~한 줄\r둘\x1b[A\n\x1b[201~x", []Key{{Paste, "한 줄\r둘\x1b[A\n"}, {Text, "x"}}},
		{"empty paste", "\x1b[200~\x1b[201~\r", []Key{{Op: Paste}, {Op: Enter}}},
		{"a sequence that never ends", "\x1b[000000000000000000000000000000a", []Key{{Text, "a"}}},
	} {
		var whole decoder
		if got := whole.feed([]byte(c.bytes)); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		// However the bytes are split into reads, the keys are the same.
		var single decoder
		var got []Key
		for i := range len(c.bytes) {
			for _, k := range single.feed([]byte{c.bytes[i]}) {
				if n := len(got); k.Op == Text && n > 0 && got[n-1].Op == Text {
					got[n-1].Text += k.Text
				} else {
					got = append(got, k)
				}
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s, byte by byte: got %v, want %v", c.name, got, c.want)
		}
	}
}

func ops(list ...Op) []Key {
	keys := make([]Key, len(list))
	for i, op := range list {
		keys[i].Op = op
	}
	return keys
}

// No bytes whatever may stop the decoder or be kept without bound.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x1b[200~a\x1b[201~\x1b[1;5C안\xed\x95"))
	f.Fuzz(func(t *testing.T, p []byte) {
		var d decoder
		d.feed(p)
		if !d.inPaste && len(d.pending) > maxSequence {
			t.Errorf("%d bytes are pending", len(d.pending))
		}
	})
}
