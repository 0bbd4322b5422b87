package toolcall

import "strings"

// hermesCall reads what follows <tool_call>.
func (p *Parser) hermesCall(last bool) bool {
	return p.object(last, false, (*Parser).hermesEnd)
}

// hermesEnd reads what follows the object: </tool_call>. A model that forgets it is
// understood.
func (p *Parser) hermesEnd(last bool) bool {
	trimmed := strings.TrimLeft(p.held, space)
	switch {
	case strings.HasPrefix(trimmed, callEnd):
		p.held = trimmed[len(callEnd):]
	case !last && strings.HasPrefix(callEnd, trimmed):
		return false
	}
	p.step = (*Parser).content
	return true
}

// mistralCalls reads what follows [TOOL_CALLS]: an array of calls, one call, or a name.
func (p *Parser) mistralCalls(last bool) bool {
	trimmed := strings.TrimLeft(p.held, space)
	switch {
	case trimmed == "":
		return false
	case trimmed[0] == '[':
		p.held = trimmed[1:]
		p.tagged += "["
		p.step = (*Parser).mistralEntry
		return true
	case trimmed[0] == '{':
		return p.object(last, false, (*Parser).content)
	}
	return p.mistralNamed(last)
}

// mistralEntry reads one of an array's calls.
func (p *Parser) mistralEntry(last bool) bool { return p.object(last, false, (*Parser).mistralNext) }

// mistralNext reads what is between the array's calls, and its end.
func (p *Parser) mistralNext(bool) bool {
	if !p.skipSpace() {
		return false
	}
	c := p.held[0]
	p.held = p.held[1:]
	p.step = (*Parser).content
	if c == ',' {
		p.step = (*Parser).mistralEntry
	}
	return true
}

// maxName is the longest name of a tool.
const maxName = 256

// mistralNamed reads name[ARGS]{...}, perhaps with [CALL_ID]... in front of [ARGS].
func (p *Parser) mistralNamed(last bool) bool {
	end := strings.IndexAny(p.held, "[{")
	at := strings.IndexByte(p.held, '{')
	name := ""
	if end > 0 {
		name = strings.TrimSpace(p.held[:end])
	}
	switch {
	case len(p.held) > 2*maxName && at < 0, end == 0, end > 0 && !isName(name), last && at < 0:
		return p.noCall()
	case at < 0:
		return false
	}
	between := strings.TrimSpace(p.held[end:at])
	if strings.HasPrefix(between, idTag) && strings.HasSuffix(between, argsTag) {
		between = argsTag
	}
	if between != "" && between != argsTag {
		return p.noCall()
	}
	p.begin(name)
	p.held = p.held[at:]
	p.value = valueReader{}
	p.step = func(p *Parser, last bool) bool { return p.arguments(last, (*Parser).content) }
	return true
}

func isName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsAny(s, space+`"'<>{}[]()`)
}

// llamaStart decides whether a text begins with a call. It can't come later, but after
// <|python_tag|>.
func (p *Parser) llamaStart(last bool) bool {
	trimmed := strings.TrimLeft(p.held, space)
	switch {
	case strings.HasPrefix(trimmed, pythonTag):
		p.held, p.tagged = trimmed[len(pythonTag):], pythonTag
		p.step = (*Parser).llamaTagged
	case !last && strings.HasPrefix(pythonTag, trimmed):
		return false
	case strings.HasPrefix(trimmed, "{"):
		p.step = (*Parser).llamaJSON
	default:
		p.step = (*Parser).llamaText
	}
	return true
}

// llamaJSON reads a call without a tag.
func (p *Parser) llamaJSON(last bool) bool { return p.object(last, true, (*Parser).llamaNext) }

// llamaText lets text out up to <|python_tag|>.
func (p *Parser) llamaText(last bool) bool {
	at := strings.Index(p.held, pythonTag)
	if at >= 0 {
		p.say(p.held[:at])
		p.held, p.tagged = p.held[at+len(pythonTag):], pythonTag
		p.step = (*Parser).llamaTagged
		return true
	}
	keep := 0
	if !last {
		keep = partial(p.held, pythonTag)
	}
	cut := len(p.held) - keep
	p.say(p.held[:cut])
	p.held = p.held[cut:]
	return false
}

// llamaTagged reads what follows <|python_tag|>: JSON, name.call(...), or a program.
func (p *Parser) llamaTagged(last bool) bool {
	trimmed := strings.TrimLeft(p.held, space)
	switch {
	case strings.HasPrefix(trimmed, "{"):
		return p.object(last, false, (*Parser).llamaNext)
	case !last:
		return false
	}
	name, arguments, ok := readPython(trimmed)
	if !ok {
		// A program for the interpreter, if the request offers one.
		for _, interpreter := range []string{"code_interpreter", "python", "ipython"} {
			if p.known(interpreter) && trimmed != "" {
				name, arguments, ok = interpreter, programArguments(trimmed), true
				break
			}
		}
	}
	if !ok {
		return p.noCall()
	}
	p.begin(name)
	p.write(arguments)
	p.held = ""
	return false
}

// llamaNext reads what is between calls. Anything but another one is left out, as text
// that nobody meant: the model was told to write nothing else.
func (p *Parser) llamaNext(last bool) bool {
	p.held = strings.TrimLeft(p.held, space+";")
	if p.held == "" {
		return false
	}
	if p.held[0] == '{' {
		p.step = (*Parser).llamaJSON
		return true
	}
	p.step = (*Parser).llamaText
	return true
}
