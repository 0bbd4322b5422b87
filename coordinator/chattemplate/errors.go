package chattemplate

import "fmt"

// Error says where a template is wrong, at parsing or at rendering.
type Error struct {
	Template string
	Line     int
	Msg      string
	// Raised is set where the template itself refused, by raise_exception: the
	// messages are at fault then, not the template.
	Raised bool
}

func (e *Error) Error() string {
	return fmt.Sprintf("chat template %s:%d: %s", e.Template, e.Line, e.Msg)
}

// failure travels as a panic from deep inside an expression to Parse or Render,
// which turn it into an Error. Anything else that panics is a bug and passes on.
type failure struct {
	msg    string
	line   int // 0: wherever the renderer is
	raised bool
}

func failf(format string, args ...any) {
	panic(failure{msg: fmt.Sprintf(format, args...)})
}

func failAt(line int, format string, args ...any) {
	panic(failure{msg: fmt.Sprintf(format, args...), line: line})
}

// catch is deferred by Parse and Render.
func catch(err *error, name string, line func() int) {
	switch r := recover().(type) {
	case nil:
	case failure:
		at := r.line
		if at == 0 {
			at = line()
		}
		*err = &Error{Template: name, Line: at, Msg: r.msg, Raised: r.raised}
	default:
		panic(r)
	}
}
