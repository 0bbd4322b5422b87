package chattemplate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxSourceBytes is far above any published template (the longest have 30 kB).
const maxSourceBytes = 1 << 20

// Template is a parsed chat template.
type Template struct {
	name string
	body []stmt
	// Limits may be changed before the first Render.
	Limits Limits
}

// Context is what a template sees.
type Context struct {
	// Messages is the conversation: a slice of *Map, of map[string]any, or of
	// anything that encoding/json writes as objects. Where the order of keys can
	// show (nested objects, tojson) only *Map and structs have one to keep.
	Messages any
	// Tools and Documents are None to the template where nil.
	Tools     any
	Documents any
	// AddGenerationPrompt asks for the words that make the model answer.
	AddGenerationPrompt bool
	// BOSToken and EOSToken are undefined to the template where empty.
	BOSToken, EOSToken string
	// Extra are further names, such as enable_thinking. They win over the above.
	Extra map[string]any
	// Now is the clock of strftime_now; nil is time.Now.
	Now func() time.Time
}

// Parse reads a template. name is for errors.
func Parse(name, source string) (t *Template, err error) {
	p := &parser{}
	defer catch(&err, name, func() int { return p.peek().line })
	if len(source) > maxSourceBytes {
		failAt(1, "source of %d bytes is longer than %d", len(source), maxSourceBytes)
	}
	p.tokens = lex(source)
	return &Template{name: name, body: p.template(), Limits: DefaultLimits}, nil
}

// Render runs the template. Its errors are *Error.
func (t *Template) Render(c Context) (out string, err error) {
	s := &state{limits: t.Limits, stepsLeft: t.Limits.Steps, bytesLeft: t.Limits.MemoryBytes, now: c.Now, line: 1}
	if s.now == nil {
		s.now = time.Now
	}
	defer catch(&err, t.name, func() int { return s.line })
	s.scope = &scope{parent: &scope{parent: &scope{vars: globals}, vars: c.variables()}}
	s.out = &strings.Builder{}
	s.run(t.body)
	return s.out.String(), nil
}

func (c Context) variables() map[string]value {
	given := map[string]any{
		"messages":              c.Messages,
		"tools":                 c.Tools,
		"documents":             c.Documents,
		"add_generation_prompt": c.AddGenerationPrompt,
	}
	if c.BOSToken != "" {
		given["bos_token"] = c.BOSToken
	}
	if c.EOSToken != "" {
		given["eos_token"] = c.EOSToken
	}
	maps.Copy(given, c.Extra)
	vars := make(map[string]value, len(given))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		v, err := fromGo(given[name], 0)
		if err != nil {
			panic(failure{msg: fmt.Sprintf("%s: %v", name, err), line: 1})
		}
		vars[name] = v
	}
	return vars
}
