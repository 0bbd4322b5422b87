package gateway

import (
	"fmt"
	"strings"

	"github.com/sullae/sullae/coordinator/grammar"
	"github.com/sullae/sullae/coordinator/toolcall"
)

// maxTools is OpenAI's.
const maxTools = 128

// toolPlan is what reading a request's calls takes.
type toolPlan struct {
	format toolcall.Format
	tools  []toolcall.Tool
	names  []string
	limit  int // of calls in a choice; 0: any number
	// marks are the special tokens whose text marks calls.
	marks map[int32]bool
}

// key names the grammar of the calls among others.
func (t *toolPlan) key() string {
	if t == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "tools %d", t.limit)
	for _, tool := range t.tools {
		fmt.Fprintf(&b, "\x00%s\x00%t\x00%s", tool.Name, tool.Strict, tool.Parameters)
	}
	return b.String()
}

func (t *toolPlan) grammar() (*grammar.Grammar, error) { return t.format.Grammar(t.tools, t.limit) }

// resolveTools validates a request's tools, and returns the chats as they are to be
// rendered.
func (s *Service) resolveTools(p *plan, r Request) ([]Prompt, error) {
	var chat *Chat
	for _, prompt := range r.Prompts {
		if c, ok := prompt.(Chat); ok && len(c.Tools) > 0 {
			chat = &c
		}
	}
	switch {
	case chat == nil && r.ToolChoice.forced():
		return nil, fieldErr("tool_choice", "makes the model call a tool, but there are no tools")
	case chat == nil:
		return r.Prompts, nil
	case len(r.Prompts) > 1:
		return nil, fieldErr("tools", "go with one conversation")
	}
	if err := s.checkTools(chat.Tools); err != nil {
		return nil, err
	}
	if r.ToolChoice.None {
		hidden := *chat
		hidden.Tools = nil
		return []Prompt{hidden}, nil
	}
	t := &toolPlan{format: s.model.ToolFormat, marks: s.toolMarks()}
	if r.ToolChoice.Serial || r.ToolChoice.Name != "" {
		t.limit = 1
	}
	for _, tool := range chat.Tools {
		if want := r.ToolChoice.Name; want == "" || want == tool.Name {
			t.tools = append(t.tools, tool.Tool)
		}
		t.names = append(t.names, tool.Name)
	}
	switch {
	case len(t.tools) == 0:
		return nil, fieldErr("tool_choice", "names the tool %q, which is not among tools", r.ToolChoice.Name)
	case r.ToolChoice.forced() && !t.format.Readable():
		return nil, fieldErr("tool_choice", "can't make the model %q call a tool: the format of its calls is not known", s.model.Name)
	}
	p.tools = t
	return r.Prompts, nil
}

func (s *Service) checkTools(tools []Tool) error {
	if s.model.ToolFormat == toolcall.None && s.model.Template != nil {
		return fieldErr("tools", "the chat template of the model %q takes none", s.model.Name)
	}
	if len(tools) > maxTools {
		return fieldErr("tools", "has %d entries; at most %d are allowed", len(tools), maxTools)
	}
	seen := map[string]bool{}
	for i, t := range tools {
		switch {
		case !validToolName(t.Name):
			return fieldErr("tools", "entry %d: the name %q must be 1 to 64 letters, digits, - _ or .", i, t.Name)
		case seen[t.Name]:
			return fieldErr("tools", "entry %d: the name %q is there twice", i, t.Name)
		}
		seen[t.Name] = true
		if err := validUTF8("tools", string(t.Definition)); err != nil {
			return err
		}
	}
	return nil
}

func validToolName(name string) bool {
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// toolMarks are the special tokens that mark calls.
func (s *Service) toolMarks() map[int32]bool {
	s.marksOnce.Do(func() {
		s.marks = map[int32]bool{}
		if s.model.Tokenizer == nil {
			return
		}
		for _, text := range s.model.ToolFormat.Markers() {
			if ids, err := s.model.Tokenizer.Encode(text, false); err == nil && len(ids) == 1 && s.model.Tokenizer.IsSpecial(ids[0]) {
				s.marks[ids[0]] = true
			}
		}
	})
	return s.marks
}

// readCalls moves the calls in a delta's text to its ToolCalls.
func (c *choice) readCalls(d *Delta) {
	if c.calls == nil {
		return
	}
	out := c.calls.Push(d.Text)
	if d.Finish != nil {
		last := c.calls.Flush()
		out.Content += last.Content
		out.Calls = append(out.Calls, last.Calls...)
	}
	d.Text = out.Content
	t := c.stream.plan.tools
	for _, piece := range out.Calls {
		if t.limit > 0 && piece.Index >= t.limit {
			continue
		}
		call := ToolCallPiece{Index: piece.Index, Name: piece.Name, Arguments: piece.Arguments}
		if piece.Name != "" {
			call.ID = t.format.ID(c.seq.RequestID, c.seq.Index, piece.Index)
		}
		d.ToolCalls = append(d.ToolCalls, call)
	}
	if f := d.Finish; f != nil && f.Reason == FinishStop && c.calls.Calls() > 0 {
		f.Reason = FinishToolCalls
	}
}
