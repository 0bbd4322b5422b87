package toolcall

import (
	"slices"
	"strings"
)

// Output is what a piece of text brought: text that belongs to no call, and pieces of
// calls.
type Output struct {
	Content string
	Calls   []Piece
}

// Piece is a piece of a call.
type Piece struct {
	// Index is the call's, from 0.
	Index int
	// Name is set in a call's first piece.
	Name string
	// Arguments goes behind those of the call's pieces before. They are JSON, if the
	// model wrote JSON.
	Arguments string
}

// Parser reads the text of one choice.
type Parser struct {
	format Format
	known  func(name string) bool
	step   step
	held   string // not read yet
	tagged string // read already, and text if no call follows
	blank  string // white space that is left out if a call follows
	said   bool   // content other than white space went out
	calls  int
	value  valueReader // of the call being read
	out    Output
}

// step reads from held. It returns false where it needs more, or has read all.
type step func(p *Parser, last bool) bool

// NewParser returns a parser at the beginning of a text. names are the tools that the
// request offers: JSON that names another one is no call where nothing else marks it.
func (f Format) NewParser(names []string) *Parser {
	p := &Parser{format: f, known: func(name string) bool { return slices.Contains(names, name) }}
	switch f {
	case Hermes, Mistral:
		p.step = (*Parser).content
	case Llama:
		p.step = (*Parser).llamaStart
	default:
		p.step = (*Parser).rest
	}
	return p
}

// Push reads a piece of text.
func (p *Parser) Push(text string) Output {
	p.held += text
	return p.run(false)
}

// Flush ends the text and returns what was held back. A call that is cut short stays
// as it is.
func (p *Parser) Flush() Output {
	p.run(true)
	p.say(p.tagged)
	if p.calls == 0 {
		p.out.Content += p.blank
	}
	p.tagged, p.blank = "", ""
	return p.out
}

// Calls is how many calls there were so far.
func (p *Parser) Calls() int { return p.calls }

func (p *Parser) run(last bool) Output {
	p.out = Output{}
	for p.held != "" && p.step(p, last) {
	}
	return p.out
}

// tag begins a call.
func (p *Parser) tag() string {
	if p.format == Mistral {
		return callsTag
	}
	return callBegin
}

// content lets text out up to a tag.
func (p *Parser) content(last bool) bool {
	tag := p.tag()
	at := strings.Index(p.held, tag)
	if at < 0 {
		keep := 0
		if !last {
			keep = partial(p.held, tag)
		}
		cut := len(p.held) - keep
		p.say(p.held[:cut])
		p.held = p.held[cut:]
		return false
	}
	p.say(p.held[:at])
	p.held, p.tagged = p.held[at+len(tag):], tag
	p.step = (*Parser).hermesCall
	if p.format == Mistral {
		p.step = (*Parser).mistralCalls
	}
	return true
}

// partial is the length of the longest end of text that begins tag.
func partial(text, tag string) int {
	for k := min(len(tag)-1, len(text)); k > 0; k-- {
		if strings.HasSuffix(text, tag[:k]) {
			return k
		}
	}
	return 0
}

// rest lets everything out.
func (p *Parser) rest(bool) bool {
	p.say(p.held)
	p.held = ""
	return false
}

// say lets content out. White space waits: around calls there is some that nobody
// meant.
func (p *Parser) say(text string) {
	if text == "" {
		return
	}
	text = p.blank + text
	end := len(strings.TrimRight(text, space))
	p.blank = text[end:]
	if end == 0 {
		return
	}
	if p.calls > 0 && !p.said {
		text = strings.TrimLeft(text[:end], space)
	} else {
		text = text[:end]
	}
	p.said = true
	p.out.Content += text
}

const space = " \t\r\n"

// skipSpace drops white space, and says whether something is left.
func (p *Parser) skipSpace() bool {
	p.held = strings.TrimLeft(p.held, space)
	return p.held != ""
}

// begin starts a call.
func (p *Parser) begin(name string) {
	p.blank, p.tagged = "", ""
	p.out.Calls = append(p.out.Calls, Piece{Index: p.calls, Name: name})
	p.calls++
}

// write goes on with the last call's arguments.
func (p *Parser) write(arguments string) {
	if arguments == "" {
		return
	}
	index := p.calls - 1
	if n := len(p.out.Calls); n > 0 && p.out.Calls[n-1].Index == index {
		p.out.Calls[n-1].Arguments += arguments
		return
	}
	p.out.Calls = append(p.out.Calls, Piece{Index: index, Arguments: arguments})
}

// noCall gives what was read since the tag back as text; what follows is read again.
func (p *Parser) noCall() bool {
	p.say(p.tagged)
	p.tagged = ""
	p.step = (*Parser).content
	if p.format == Llama {
		p.step = (*Parser).llamaText
	}
	return true
}
