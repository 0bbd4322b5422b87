package grammar

import "regexp/syntax"

// classLoop recognises a pattern that is one class of characters, repeated, from end to
// end, such as ^[가-힣 ]{2,40}$. Then the number of characters can be counted by the
// frame, as for strings without a pattern, and masks are shared between counts instead
// of belonging to one of thousands of states.
func classLoop(p stringPattern) (char builder, lo, hi int, ok bool) {
	if !p.search || len(p.text) > maxPatternBytes {
		return nil, 0, 0, false
	}
	source, err := ecmaToRE2(p.text)
	if err != nil {
		return nil, 0, 0, false
	}
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil || re.Op != syntax.OpConcat || len(re.Sub) != 3 ||
		re.Sub[0].Op != syntax.OpBeginText || re.Sub[2].Op != syntax.OpEndText {
		return nil, 0, 0, false
	}
	loop := re.Sub[1]
	for loop.Op == syntax.OpCapture {
		loop = loop.Sub[0]
	}
	switch loop.Op {
	case syntax.OpStar:
		lo, hi = 0, unbounded
	case syntax.OpPlus:
		lo, hi = 1, unbounded
	case syntax.OpRepeat:
		if lo, hi = loop.Min, loop.Max; hi < 0 {
			hi = unbounded
		}
	default:
		return nil, 0, 0, false
	}
	class := loop.Sub[0]
	switch class.Op {
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return func(n *nfa, from int32) int32 {
			return (&regexBuilder{n: n, char: jsonChar, ecma: true}).build(from, class)
		}, lo, hi, true
	}
	return nil, 0, 0, false
}

// builder is a part that is not bound to an automaton yet.
type builder func(n *nfa, from int32) int32
