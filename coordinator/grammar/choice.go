package grammar

import (
	"strconv"
	"unicode/utf8"
)

// CompileChoice compiles a list of texts, one of which has to be written, whole.
func CompileChoice(choices []string) (*Grammar, error) {
	if len(choices) == 0 {
		return nil, problemAt("choice", "there is nothing to choose from")
	}
	if len(choices) > maxChoices {
		return nil, problemAt("choice", "%d choices are more than %d", len(choices), maxChoices)
	}
	bud := newBudget()
	n := newNFA(bud)
	start := n.state()
	end := n.state()
	total := 0
	for i, c := range choices {
		where := "choice[" + strconv.Itoa(i) + "]"
		if !utf8.ValidString(c) {
			return nil, problemAt(where, "the text is not valid UTF-8")
		}
		if total += len(c); total > maxChoiceBytes {
			return nil, problemAt(where, "the choices are longer than %d bytes together", maxChoiceBytes)
		}
		n.empty(n.text(start, c), end)
	}
	a, err := determinize(n, start, end)
	if err != nil {
		return nil, problemAt("choice", "the list is %v", err)
	}
	return link([]rule{{name: "choice", body: a}}, 0), nil
}
