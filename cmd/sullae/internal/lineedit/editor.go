package lineedit

// Outcome is what a key led to.
type Outcome uint8

// Outcomes. After Submitted, Cancelled and the two that leave, the editor is
// empty again.
const (
	Editing   Outcome = iota
	Submitted         // Enter
	Cancelled         // Ctrl-C with a text, which is thrown away
	Quit              // Ctrl-C without one
	Ended             // Ctrl-D without one
	Cleared           // the screen should be
)

// maxHistory is how many lines are kept.
const maxHistory = 1000

// editor is the state of editing: a text, and the lines before it.
type editor struct {
	line
	killed  string
	history []string
	// entry is the line of the history that is shown; len(history) is the new
	// one, kept in draft meanwhile.
	entry int
	draft string
}

// press applies a key. With Submitted it returns the text.
func (e *editor) press(k Key) (Outcome, string) {
	switch k.Op {
	case Text, Paste:
		e.insert(k.Text)
	case Newline:
		e.insert("\n")
	case Enter:
		text := e.text
		e.remember(text)
		e.reset()
		return Submitted, text
	case Interrupt:
		empty := e.text == ""
		e.reset()
		if empty {
			return Quit, ""
		}
		return Cancelled, ""
	case EndOfText:
		if e.text == "" {
			e.reset()
			return Ended, ""
		}
		e.remove(e.at, nextBoundary(e.text, e.at))
	case ClearScreen:
		return Cleared, ""
	case Up, Down:
		e.upDown(k.Op)
	default:
		e.edit(k.Op)
	}
	return Editing, ""
}

// edit applies the keys that move within the line or delete from it.
func (e *editor) edit(op Op) {
	switch op {
	case Left:
		e.at = prevBoundary(e.text, e.at)
	case Right:
		e.at = nextBoundary(e.text, e.at)
	case Home:
		e.at = e.lineStart()
	case End:
		e.at = e.lineEnd()
	case WordLeft:
		e.at = e.wordLeft()
	case WordRight:
		e.at = e.wordRight()
	case Backspace:
		e.remove(prevBoundary(e.text, e.at), e.at)
	case Delete:
		e.remove(e.at, nextBoundary(e.text, e.at))
	case DeleteWordLeft:
		e.kill(e.wordLeft(), e.at)
	case DeleteWordRight:
		e.kill(e.at, e.wordRight())
	case KillLeft:
		e.kill(e.lineStart(), e.at)
	case KillRight:
		e.kill(e.at, e.lineEnd())
	case Yank:
		e.insert(e.killed)
	}
}

// kill removes a range and keeps it for Yank.
func (e *editor) kill(from, to int) {
	if from < to {
		e.killed = e.remove(from, to)
	}
}

// upDown goes to the line above or below, and beyond the text's first or last
// line into the history.
func (e *editor) upDown(op Op) {
	dir := 1
	if op == Up {
		dir = -1
	}
	if e.vertical(dir) {
		return
	}
	to := e.entry + dir
	if to < 0 || to > len(e.history) {
		return
	}
	if e.entry == len(e.history) {
		e.draft = e.text
	}
	e.entry = to
	if to == len(e.history) {
		e.text = e.draft
	} else {
		e.text = e.history[to]
	}
	e.at = len(e.text)
}

// remember adds a line to the history, unless it is empty or the last one again.
func (e *editor) remember(text string) {
	if n := len(e.history); text == "" || n > 0 && e.history[n-1] == text {
		return
	}
	e.history = append(e.history, text)
	if over := len(e.history) - maxHistory; over > 0 {
		e.history = e.history[over:]
	}
}

func (e *editor) reset() {
	e.line, e.draft, e.entry = line{}, "", len(e.history)
}
