package grammar

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

type ebnfNode struct {
	kind   ebnfKind
	at     int // byte offset
	text   string
	class  []runeRange
	name   string
	lo, hi int // ebnfRepeat; hi < 0: no limit
	sub    []*ebnfNode
}

type ebnfKind uint8

const (
	ebnfSequence ebnfKind = iota
	ebnfEither
	ebnfText
	ebnfClass
	ebnfName
	ebnfRepeat
)

// ebnfParser is a recursive-descent parser. After the first error it stands still.
type ebnfParser struct {
	text  string
	at    int
	depth int
	err   error
	rules map[string]*ebnfNode
	order []string
}

func parseEBNF(text string) (*ebnfParser, error) {
	p := &ebnfParser{text: text, rules: map[string]*ebnfNode{}}
	if len(text) > maxEBNFBytes {
		return nil, problemAt("1:1", "the grammar is longer than %d bytes", maxEBNFBytes)
	}
	if !utf8.ValidString(text) {
		return nil, problemAt("1:1", "the grammar is not valid UTF-8")
	}
	for p.space(); p.err == nil && p.at < len(text); p.space() {
		p.rule()
	}
	return p, p.err
}

func (p *ebnfParser) fail(at int, format string, args ...any) {
	if p.err == nil {
		p.err = problemAt(lineColumn(p.text, at), "%s", fmt.Sprintf(format, args...))
	}
}

func (p *ebnfParser) rest() string { return p.text[p.at:] }

// take reads s if it is next.
func (p *ebnfParser) take(s string) bool {
	if !strings.HasPrefix(p.rest(), s) {
		return false
	}
	p.at += len(s)
	return true
}

// space skips white space and comments.
func (p *ebnfParser) space() {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			p.at++
		case c == '#':
			if end := strings.IndexByte(p.rest(), '\n'); end >= 0 {
				p.at += end
			} else {
				p.at = len(p.text)
			}
		default:
			return
		}
	}
}

func (p *ebnfParser) name() string {
	start := p.at
	for p.at < len(p.text) {
		c := p.text[p.at]
		if !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '_' {
			break
		}
		p.at++
	}
	return p.text[start:p.at]
}

func (p *ebnfParser) rule() {
	at := p.at
	name := p.name()
	p.space()
	switch {
	case name == "":
		p.fail(at, "a rule's name is expected here")
	case !p.take("::="):
		p.fail(p.at, "::= is expected after the name %s", name)
	case p.rules[name] != nil:
		p.fail(at, "rule %s is defined twice", name)
	case len(p.order) >= maxRules:
		p.fail(at, "there are more than %d rules", maxRules)
	default:
		node := p.alternatives()
		node.at = at
		p.rules[name] = node
		p.order = append(p.order, name)
	}
}

func (p *ebnfParser) alternatives() *ebnfNode {
	node := &ebnfNode{kind: ebnfEither, at: p.at}
	if p.depth++; p.depth > maxEBNFDepth {
		p.fail(p.at, "parentheses are nested more than %d deep", maxEBNFDepth)
	}
	defer func() { p.depth-- }()
	for {
		node.sub = append(node.sub, p.sequence())
		if p.err != nil || !p.take("|") {
			break
		}
	}
	if len(node.sub) == 1 {
		return node.sub[0]
	}
	return node
}

func (p *ebnfParser) sequence() *ebnfNode {
	node := &ebnfNode{kind: ebnfSequence, at: p.at}
	for p.err == nil {
		p.space()
		item := p.item()
		if item == nil {
			break
		}
		node.sub = append(node.sub, p.repeated(item))
	}
	return node
}

// item is one thing that can be repeated, or nil at the end of a sequence.
func (p *ebnfParser) item() *ebnfNode {
	at := p.at
	if at == len(p.text) {
		return nil
	}
	switch c := p.text[at]; {
	case c == '"':
		p.at++
		return &ebnfNode{kind: ebnfText, at: at, text: p.literal(at)}
	case c == '[':
		p.at++
		return &ebnfNode{kind: ebnfClass, at: at, class: p.class(at)}
	case c == '.':
		p.at++
		return &ebnfNode{kind: ebnfClass, at: at, class: anyRune}
	case c == '(':
		p.at++
		node := p.alternatives()
		if !p.take(")") {
			p.fail(at, "this parenthesis is not closed")
		}
		return node
	case c == '|', c == ')' && p.depth > 1:
		return nil
	}
	name := p.name()
	if name == "" {
		c, _ := utf8.DecodeRuneInString(p.rest())
		p.fail(at, "unexpected %q", c)
		return nil
	}
	after := p.at
	if p.space(); p.take("::=") { // the next rule begins
		p.at = at
		if p.depth > 1 {
			p.fail(at, "a rule begins inside parentheses")
		}
		return nil
	}
	p.at = after
	return &ebnfNode{kind: ebnfName, at: at, name: name}
}

// repeated reads the repetitions that follow an item.
func (p *ebnfParser) repeated(node *ebnfNode) *ebnfNode {
	for p.err == nil {
		at := p.at
		p.space()
		lo, hi := 0, -1
		switch {
		case p.take("*"):
		case p.take("+"):
			lo = 1
		case p.take("?"):
			hi = 1
		case p.take("{"):
			lo, hi = p.bounds(at)
		default:
			return node
		}
		if node.kind == ebnfRepeat && node.lo <= 1 && node.hi < 0 && lo <= 1 && hi < 0 {
			node.lo = min(node.lo, lo) // (x*)+ and the like are one loop
			continue
		}
		node = &ebnfNode{kind: ebnfRepeat, at: node.at, lo: lo, hi: hi, sub: []*ebnfNode{node}}
	}
	return node
}

// bounds reads n}, n,}, ,m} or n,m}.
func (p *ebnfParser) bounds(at int) (lo, hi int) {
	p.space()
	lo, some := p.number()
	hi = lo
	p.space()
	if p.take(",") {
		p.space()
		var limited bool
		if hi, limited = p.number(); !limited {
			hi = -1
		}
		some = some || limited
		p.space()
	}
	switch {
	case !some || !p.take("}"):
		p.fail(at, "repetition is written {n}, {n,}, {,m} or {n,m}")
	case lo > maxRepeat || hi > maxRepeat:
		p.fail(at, "a repetition count is above %d", maxRepeat)
	case hi >= 0 && hi < lo:
		p.fail(at, "{%d,%d}: the greatest count is below the least", lo, hi)
	}
	return lo, hi
}

func (p *ebnfParser) number() (n int, ok bool) {
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		n = min(n*10+int(p.text[p.at]-'0'), maxRepeat+1)
		p.at++
		ok = true
	}
	return n, ok
}
