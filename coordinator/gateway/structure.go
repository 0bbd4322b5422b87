package gateway

import (
	"container/list"
	"fmt"
	"strings"
	"sync"

	"github.com/sullae/sullae/coordinator/grammar"
)

// Structure says what a choice's text must be. At most one field is set.
type Structure struct {
	JSONSchema []byte
	JSONObject bool
	Regex      string // the whole text matches it
	Choice     []string
	Grammar    string // GBNF
}

// maxStructures is how many compiled grammars are kept for requests to come.
const maxStructures = 128

// structures keeps compiled grammars by their source, the latest used first, and
// the vocabularies that they share.
type structures struct {
	once, toolsOnce sync.Once
	shared, tools   *grammar.Vocab

	mu   sync.Mutex
	used list.List // of *compiled
}

type compiled struct {
	key     string
	grammar *grammar.Grammar
}

// vocab is the model's vocabulary as grammars need it; it takes a moment to make,
// once.
func (c *structures) vocab(m Model) *grammar.Vocab {
	c.once.Do(func() { c.shared = grammar.NewVocabulary(textVocabulary{m, nil}, m.EOS) })
	return c.shared
}

// toolVocab is vocab with the special tokens that mark calls of tools.
func (c *structures) toolVocab(m Model, marks map[int32]bool) *grammar.Vocab {
	if len(marks) == 0 {
		return c.vocab(m)
	}
	c.toolsOnce.Do(func() { c.tools = grammar.NewVocabulary(textVocabulary{m, marks}, m.EOS) })
	return c.tools
}

// textVocabulary is a model's vocabulary without the special tokens, which stand
// for no text, but for those in shown.
type textVocabulary struct {
	m     Model
	shown map[int32]bool
}

func (v textVocabulary) Size() int { return v.m.Vocab }

func (v textVocabulary) TokenBytes(id int32) []byte {
	if v.m.Tokenizer.IsSpecial(id) && !v.shown[id] {
		return nil
	}
	return v.m.Tokenizer.TokenBytes(id)
}

// get compiles a grammar, or finds it again.
func (c *structures) get(key string, compile func() (*grammar.Grammar, error)) (*grammar.Grammar, error) {
	c.mu.Lock()
	for e := c.used.Front(); e != nil; e = e.Next() {
		if have := e.Value.(*compiled); have.key == key {
			c.used.MoveToFront(e)
			c.mu.Unlock()
			return have.grammar, nil
		}
	}
	c.mu.Unlock()
	g, err := compile()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used.PushFront(&compiled{key, g})
	if c.used.Len() > maxStructures {
		c.used.Remove(c.used.Back())
	}
	return g, nil
}

// resolveStructure compiles what the request's text must be.
func (s *Service) resolveStructure(p *plan, r Request) error {
	t, field := r.Structure, "structure"
	var key string
	var compile func() (*grammar.Grammar, error)
	kinds := 0
	for _, k := range []struct {
		set     bool
		key     string
		compile func() (*grammar.Grammar, error)
	}{
		{len(t.JSONSchema) > 0, "schema " + string(t.JSONSchema), func() (*grammar.Grammar, error) {
			return grammar.CompileJSONSchema(t.JSONSchema, grammar.Options{})
		}},
		{t.JSONObject, "object", grammar.CompileJSONObject},
		{t.Regex != "", "regex " + t.Regex, func() (*grammar.Grammar, error) { return grammar.CompileRegex(t.Regex) }},
		{t.Choice != nil, "choice " + strings.Join(t.Choice, "\x00"), func() (*grammar.Grammar, error) { return grammar.CompileChoice(t.Choice) }},
		{p.tools != nil && r.ToolChoice.forced(), p.tools.key(), p.tools.grammar},
		{t.Grammar != "", "grammar " + t.Grammar, func() (*grammar.Grammar, error) { return grammar.CompileEBNF(t.Grammar) }},
	} {
		if k.set {
			kinds++
			key, compile = k.key, k.compile
		}
	}
	if r.ToolChoice.forced() {
		field = "tool_choice"
	}
	switch {
	case kinds == 0:
		return nil
	case kinds > 1 && field == "tool_choice":
		return fieldErr(field, "makes the model call a tool: its text can have no other structure")
	case kinds > 1:
		return fieldErr(field, "names more than one structure")
	case s.model.Tokenizer == nil:
		return s.noTokenizer()
	case len(s.model.EOS) == 0 || r.Stopping.IgnoreEOS:
		return fieldErr(field, "needs an end-of-sequence token: leave ignore_eos out")
	case p.sampling.MinTokens > 0 || len(p.sampling.BadWords) > 0:
		return fieldErr(field, "does not go together with min_tokens or bad_words")
	}
	g, err := s.structures.get(key, compile)
	if err != nil {
		return &FieldError{Field: field, Problem: fmt.Sprintf("cannot be compiled: %v", err)}
	}
	p.grammar = g
	return nil
}
