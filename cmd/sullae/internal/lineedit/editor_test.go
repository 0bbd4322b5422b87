package lineedit

import (
	"strings"
	"testing"
)

// show is the text with "|" for the cursor.
func show(e *editor) string { return e.text[:e.at] + "|" + e.text[e.at:] }

// at makes an editor from what show shows.
func at(s string) *editor {
	before, after, _ := strings.Cut(s, "|")
	return &editor{line: line{before + after, len(before)}}
}

func TestEditing(t *testing.T) {
	for _, c := range []struct {
		name, from string
		keys       []Key
		want       string
	}{
		{"type", "|", []Key{{Text, "안녕"}}, "안녕|"},
		{"type in the middle", "가|다", []Key{{Text, "나"}}, "가나|다"},
		{"Backspace takes a whole syllable", "대한민국|", ops(Backspace), "대한민|"},
		{"Backspace in the middle", "대한|민국", ops(Backspace), "대|민국"},
		{"Backspace at the start", "|가", ops(Backspace), "|가"},
		{"Backspace takes a joined emoji", "a" + family + "|", ops(Backspace), "a|"},
		{"Backspace takes one flag of two", flag + flag + "|", ops(Backspace), flag + "|"},
		{"Backspace takes a letter with its mark", "x" + eAcute + "|", ops(Backspace), "x|"},
		{"Backspace takes decomposed jamo", "a" + hanJ + "|", ops(Backspace), "a|"},
		{"Delete", "가|나다", ops(Delete), "가|다"},
		{"Delete at the end", "가|", ops(Delete), "가|"},
		{"Ctrl-D deletes", "가|나", ops(EndOfText), "가|"},
		{"arrows", "가나|다", ops(Left, Left, Left, Right), "가|나다"},
		{"Right at the end", "가|", ops(Right), "가|"},
		{"arrows over emoji", family + thumb + "|", ops(Left), family + "|" + thumb},
		{"Home and End", "가나|다", ops(Home), "|가나다"},
		{"End", "|가나다", ops(End), "가나다|"},
		{"jamo become syllables", "|", []Key{{Text, "\u1112"}, {Text, "\u1161"}, {Text, "\u11ab"}, {Text, "\u1100\u1173\u11af"}}, "한글|"},
		{"a mark joins the letter before", "e|x", []Key{{Text, "\u0301"}}, "é|x"},
		{"a mark without a composed form", "ㅎ|", []Key{{Text, "\u0301"}}, "ㅎ\u0301|"},
		{"decomposed paste", "|", []Key{{Paste, hanJ}}, "한|"},
		{"the cursor never stands in a cluster", "|\u200d👧", []Key{{Text, "👩"}}, "👩\u200d👧|"},
		{"what closes up may join", "🇰|x🇷", ops(Delete), "🇰🇷|"},
		{"word left", "안녕 세상아!|", ops(WordLeft), "안녕 |세상아!"},
		{"word right", "|  안녕 세상", ops(WordRight), "  안녕| 세상"},
		{"word right at the end", "안녕|", ops(WordRight), "안녕|"},
		{"delete a word", "수도는 어디|", ops(DeleteWordLeft), "수도는 |"},
		{"delete a word to the right", "|수도는 어디", ops(DeleteWordRight), "| 어디"},
		{"kill and yank", "가나|다라", ops(KillLeft, End, Yank), "다라가나|"},
		{"kill right", "가나|다라", ops(KillRight), "가나|"},
		{"kill within a line", "하나\n둘|셋\n넷", ops(KillLeft), "하나\n|셋\n넷"},
		{"killing nothing keeps what was killed", "가|", ops(KillLeft, KillLeft, Yank), "가|"},
		{"a paste of several lines", "|", []Key{{Paste, "하나\r\n둘\r셋\n"}}, "하나\n둘\n셋\n|"},
		{"a paste's control characters", "|", []Key{{Paste, "a\x1b[31mb\x07\tc\x7f\u0085"}}, "a[31mb\tc|"},
		{"a line break", "가|나", ops(Newline), "가\n|나"},
		{"Home and End in a line", "하나\n둘|셋\n넷", ops(Home, End), "하나\n둘셋|\n넷"},
		{"up to the same column", "하나\nab둘|", ops(Up), "하나|\nab둘"},
		{"up into a wide character", "가나\nabc|", ops(Up), "가|나\nabc"},
		{"up to a shorter line", "a\n나나나|", ops(Up), "a|\n나나나"},
		{"down", "가|나\nabcd", ops(Down), "가나\nab|cd"},
	} {
		e := at(c.from)
		for _, k := range c.keys {
			if outcome, _ := e.press(k); outcome != Editing {
				t.Errorf("%s: outcome %d", c.name, outcome)
			}
		}
		if got := show(e); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		name, from string
		op         Op
		want       Outcome
		text       string
	}{
		{"Enter", "가|나", Enter, Submitted, "가나"},
		{"Enter on nothing", "|", Enter, Submitted, ""},
		{"Ctrl-C with a text", "가|", Interrupt, Cancelled, ""},
		{"Ctrl-C", "|", Interrupt, Quit, ""},
		{"Ctrl-D", "|", EndOfText, Ended, ""},
		{"Ctrl-D with a text", "|가", EndOfText, Editing, ""},
		{"Ctrl-L", "가|", ClearScreen, Cleared, ""},
	} {
		e := at(c.from)
		outcome, text := e.press(Key{Op: c.op})
		if outcome != c.want || text != c.text {
			t.Errorf("%s: got %d %q, want %d %q", c.name, outcome, text, c.want, c.text)
		}
		if c.want != Cleared && e.text != "" {
			t.Errorf("%s: %q is left", c.name, e.text)
		}
	}
}

func TestHistory(t *testing.T) {
	e := &editor{}
	enter := func(s string) {
		e.press(Key{Text, s})
		e.press(Key{Op: Enter})
	}
	enter("하나")
	enter("둘")
	enter("둘") // once is enough
	enter("")
	enter("셋")
	e.press(Key{Text, "새"})
	for i, c := range []struct {
		op   Op
		want string
	}{
		{Up, "셋|"}, {Up, "둘|"}, {Up, "하나|"}, {Up, "하나|"}, {Down, "둘|"}, {Down, "셋|"}, {Down, "새|"}, {Down, "새|"},
	} {
		e.press(Key{Op: c.op})
		if got := show(e); got != c.want {
			t.Errorf("step %d: got %q, want %q", i, got, c.want)
		}
	}
	e.press(Key{Op: Up})
	e.press(Key{Text, "!"})
	if _, text := e.press(Key{Op: Enter}); text != "셋!" {
		t.Errorf("an edited line is sent as %q", text)
	}
	e.press(Key{Op: Up})
	e.press(Key{Op: Up})
	if got := show(e); got != "셋|" {
		t.Errorf("the history's line was changed: %q", got)
	}
	e.press(Key{Op: Interrupt})
	e.press(Key{Op: Down})
	if got := show(e); got != "|" {
		t.Errorf("after Ctrl-C: %q", got)
	}
	for range maxHistory + 10 {
		enter("a")
		enter("b")
	}
	if len(e.history) != maxHistory {
		t.Errorf("the history has %d lines", len(e.history))
	}
}

// Whatever is typed, the cursor stands on a boundary and the text is valid.
func FuzzEditor(f *testing.F) {
	f.Add("안녕"+family+hanJ, []byte{1, 5, 11, 12, 2, 2, 1, 3})
	f.Fuzz(func(t *testing.T, text string, keys []byte) {
		e := &editor{}
		for _, k := range keys {
			part := text
			if len(text) > 0 {
				part = text[int(k)%len(text):]
			}
			e.press(Key{Op(k % byte(EndOfText+1)), strings.ToValidUTF8(part, "")})
			if e.at < 0 || e.at > len(e.text) || snap(e.text, e.at) != e.at {
				t.Fatalf("the cursor is at %d of %q", e.at, e.text)
			}
		}
	})
}
