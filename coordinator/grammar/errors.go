package grammar

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// SyntaxError says what is wrong with a schema, a pattern or a grammar, and where.
type SyntaxError struct {
	// Where is a JSON pointer in fragment form ("#/properties/age/minimum") for
	// something in a JSON schema, "choice[3]" for a choice, else "line:column", both
	// from 1.
	Where   string
	Problem string
}

func (e *SyntaxError) Error() string { return e.Where + ": " + e.Problem }

func problemAt(where, format string, args ...any) *SyntaxError {
	return &SyntaxError{Where: where, Problem: fmt.Sprintf(format, args...)}
}

// errTooLarge ends a compilation that passed a limit. The compilers turn it into a
// [SyntaxError].
var errTooLarge = errors.New("too large: its automaton passes the limit on states or on the work to build it")

// lineColumn is the place of a byte offset as "line:column", in characters.
func lineColumn(text string, offset int) string {
	offset = min(max(offset, 0), len(text))
	line, column := 1, 1
	for i := 0; i < offset; {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == '\n' {
			line, column = line+1, 1
		} else {
			column++
		}
		i += n
	}
	return fmt.Sprintf("%d:%d", line, column)
}
