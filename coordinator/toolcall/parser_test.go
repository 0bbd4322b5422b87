package toolcall

import (
	"fmt"
	"strings"
	"testing"
)

var offered = []string{"weather", "python"}

// read parses a text given in pieces.
func read(f Format, pieces ...string) (content string, calls []string) {
	p := f.NewParser(offered)
	add := func(out Output) {
		content += out.Content
		for _, c := range out.Calls {
			if c.Index == len(calls) {
				calls = append(calls, c.Name+" ")
			}
			calls[c.Index] += c.Arguments
		}
	}
	for _, piece := range pieces {
		add(p.Push(piece))
	}
	add(p.Flush())
	return content, calls
}

func TestParser(t *testing.T) {
	for _, c := range []struct {
		format  Format
		text    string
		content string
		calls   string
	}{
		{Hermes, "plain text ", "plain text ", ""},
		{Hermes, "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"서울 }\\\"\", \"n\": [1, {}]}}\n</tool_call>", "",
			`weather {"city": "서울 }\"", "n": [1, {}]}`},
		{Hermes, "I look.\n\n<tool_call>\n{\"name\":\"a\",\"arguments\":{}}\n</tool_call>\n<tool_call>\n{\"arguments\": {\"x\": 1}, \"id\": 3, \"name\": \"b\"}\n</tool_call>\n",
			"I look.", `a {}|b {"x": 1}`},
		{Hermes, "\n\n<tool_call>{\"name\": \"a\"}</tool_call>", "", "a {}"},
		{Hermes, `<tool_call>{"name": "a", "arguments": "{\"x\": 1}"}</tool_call>`, "", `a {"x": 1}`},
		{Hermes, `<tool_call>{"name": "a", "arguments": null}`, "", `a {}`},
		{Hermes, `<tool_call>{"name": "a", "arguments": {"cut": "sho`, "", `a {"cut": "sho`},
		{Hermes, "a < b <tool_call>nonsense</tool_call> end", "a < b <tool_call>nonsense</tool_call> end", ""},
		{Hermes, `<tool_call>{"nam": 1}<tool_call>{"name": "a", "arguments": {}}</tool_call>`, `<tool_call>{"nam": 1}`, "a {}"},
		{Hermes, "x<tool_call>", "x<tool_call>", ""},
		{Hermes, "x<tool_c", "x<tool_c", ""},
		{Hermes, `<tool_call>{"name": "a", "arguments": {}}</tool_call> then`, "then", "a {}"},

		{Llama, `{"name": "weather", "parameters": {"city": "서울"}}`, "", `weather {"city": "서울"}`},
		{Llama, ` {"type": "function", "name": "weather", "parameters": {}}; {"name": "python", "parameters": {"code": "1"}}`, "", `weather {}|python {"code": "1"}`},
		{Llama, `{"name": "unknown", "parameters": {}}`, `{"name": "unknown", "parameters": {}}`, ""},
		{Llama, `{"answer": 42}`, `{"answer": 42}`, ""},
		{Llama, `<|python_tag|>{"name": "unknown", "parameters": {"a": 1}}`, "", `unknown {"a": 1}`},
		{Llama, `<|python_tag|>brave_search.call(query="a \"b\", c", n=3, all=True)`, "", `brave_search {"query": "a \"b\", c", "n": 3, "all": true}`},
		{Llama, "<|python_tag|>import os\nprint(os.name)", "", `python {"code": "import os\nprint(os.name)"}`},
		{Llama, "The answer is 5.", "The answer is 5.", ""},
		{Llama, "Well: <|python_tag|>weather.call()", "Well:", "weather {}"},

		{Mistral, `[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "서울"}, "id": "abcdefghi"}, {"name": "b", "arguments": {}}]`, "",
			`weather {"city": "서울"}|b {}`},
		{Mistral, `[TOOL_CALLS]weather[ARGS]{"city": "서울"}[TOOL_CALLS]b[CALL_ID]123456789[ARGS]{}`, "", `weather {"city": "서울"}|b {}`},
		{Mistral, `[TOOL_CALLS]weather{"city": "서울"}`, "", `weather {"city": "서울"}`},
		{Mistral, `[TOOL_CALLS]{"name": "a", "arguments": {}}`, "", `a {}`},
		{Mistral, `text [TOOL_CALLS] more text`, "text [TOOL_CALLS] more text", ""},
		{Mistral, `[TOOL_CALLS] []`, "[TOOL_CALLS][]", ""},
		{Unknown, `<tool_call>{"name": "a"}`, `<tool_call>{"name": "a"}`, ""},
	} {
		content, calls := read(c.format, c.text)
		if content != c.content || strings.Join(calls, "|") != c.calls {
			t.Errorf("%v %s\n have %q %q\n want %q %q", c.format, c.text, content, calls, c.content, c.calls)
		}
		// However it comes.
		content, calls = read(c.format, strings.Split(c.text, "")...)
		if content != c.content || strings.Join(calls, "|") != c.calls {
			t.Errorf("%v %s in pieces\n have %q %q\n want %q %q", c.format, c.text, content, calls, c.content, c.calls)
		}
	}
}

// TestArgumentsComeAsWritten: a stream sees the name as soon as the arguments begin,
// and then every piece of them.
func TestArgumentsComeAsWritten(t *testing.T) {
	p := Hermes.NewParser(offered)
	var got []string
	for _, piece := range []string{"<tool_call>", "\n{\"name\": \"weather\", ", "\"arguments\": {", "\"city\": ", "\"서울\"}", "}\n</tool_call>"} {
		out := p.Push(piece)
		got = append(got, fmt.Sprint(out.Content, out.Calls))
	}
	want := `[[] [] [{0 weather {}] [{0  "city": }] [{0  "서울"}}] []]`
	if fmt.Sprint(got) != want {
		t.Errorf("have %v\nwant %v", got, want)
	}
}

func TestDetect(t *testing.T) {
	for source, want := range map[string]Format{
		"{{ messages[0].content }}":                           None,
		"{% if tools %}<tool_call>{% endif %}":                Hermes,
		"{% if tools %}<|python_tag|>{% endif %}":             Llama,
		"{% if tools %}[TOOL_CALLS]{% endif %}":               Mistral,
		"{% if tools %}{{ tools | tojson }}<call>{% endif %}": Unknown,
		"{% if tools %}<tool_call><function=f>{% endif %}":    Unknown,
	} {
		if got := Detect(source); got != want {
			t.Errorf("%s: %v, want %v", source, got, want)
		}
	}
}

// FuzzParser: pieces make no difference, and nothing of a text without calls is lost.
func FuzzParser(f *testing.F) {
	f.Add(uint8(0), "a<tool_call>{\"name\": \"a\", \"arguments\": {\"x\": \"}\"}}</tool_call>b", uint16(7))
	f.Add(uint8(1), `{"name": "weather", "parameters": [1]}; {"name": "python", "parameters": 1}`, uint16(3))
	f.Add(uint8(1), `<|python_tag|>weather.call(a="b")`, uint16(3))
	f.Add(uint8(2), `[TOOL_CALLS]a[ARGS]{}[TOOL_CALLS] [{"name": "a"}, {"name": "b", "arguments": "x"}]`, uint16(5))
	f.Fuzz(func(t *testing.T, which uint8, text string, seed uint16) {
		if len(text) > maxName {
			return
		}
		format := Hermes + Format(which%3)
		content, calls := read(format, text)
		var pieces []string
		for rest, at := text, uint32(seed)+1; rest != ""; {
			at = at*1103515245 + 12345
			n := min(1+int(at>>16%7), len(rest))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		again, same := read(format, pieces...)
		if again != content || fmt.Sprint(same) != fmt.Sprint(calls) {
			t.Errorf("%v %q\n whole  %q %q\n pieces %q %q", format, text, content, calls, again, same)
		}
		tag := map[Format]string{Hermes: callBegin, Llama: pythonTag, Mistral: callsTag}[format]
		if len(calls) == 0 && !strings.Contains(text, tag) && content != text {
			t.Errorf("%v: %q became %q", format, text, content)
		}
	})
}
