package lineedit

// Op is what a key asks for.
type Op uint8

// Operations. Text and Paste carry characters.
const (
	Ignored Op = iota
	Text
	Paste   // from the clipboard, perhaps of several lines
	Enter   // the line is finished
	Newline // a line break inside the text (Alt-Enter)
	Left
	Right
	Up
	Down
	Home
	End
	WordLeft
	WordRight
	Backspace
	Delete
	DeleteWordLeft
	DeleteWordRight
	KillLeft  // Ctrl-U: to the line's start
	KillRight // Ctrl-K: to the line's end
	Yank      // Ctrl-Y: what was killed last
	ClearScreen
	Interrupt // Ctrl-C
	EndOfText // Ctrl-D: leaves where the text is empty, else deletes
)

// Key is one key press or one piece of text.
type Key struct {
	Op   Op
	Text string
}

// controls are the keys below U+0020, and DEL. Enter sends CR; programs that
// drive a terminal often send LF for it.
var controls = map[byte]Op{
	0x01: Home, 0x02: Left, 0x03: Interrupt, 0x04: EndOfText, 0x05: End,
	0x06: Right, 0x08: Backspace, 0x0A: Enter, 0x0B: KillRight,
	0x0C: ClearScreen, 0x0D: Enter, 0x0E: Down, 0x10: Up, 0x15: KillLeft,
	0x17: DeleteWordLeft, 0x19: Yank, 0x7F: Backspace,
}

// escaped are keys sent as ESC and one byte: Alt with a key.
var escaped = map[byte]Op{
	'b': WordLeft, 'f': WordRight, 'd': DeleteWordRight,
	0x08: DeleteWordLeft, 0x7F: DeleteWordLeft, '\r': Newline, '\n': Newline,
}

// sequences are keys sent as ESC [ or ESC O and the text given here.
// After: XTerm Control Sequences, https://invisible-island.net/xterm/ctlseqs/ctlseqs.html.
var sequences = map[string]Op{
	"A": Up, "B": Down, "C": Right, "D": Left, "H": Home, "F": End, "M": Enter,
	"1~": Home, "7~": Home, "4~": End, "8~": End, "3~": Delete,
	"1;3C": WordRight, "1;5C": WordRight, "1;3D": WordLeft, "1;5D": WordLeft,
	"3;3~": DeleteWordRight, "3;5~": DeleteWordRight,
	// Enter with Shift or Alt, from terminals that tell it apart.
	"13;2u": Newline, "13;3u": Newline, "27;2;13~": Newline, "27;3;13~": Newline,
}
