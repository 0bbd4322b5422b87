package gateway

import (
	"encoding/json"
	"testing"
	"testing/fstest"

	"github.com/sullae/sullae/coordinator/toolcall"
)

// templateTokenizer is a tokenizer.json of next to nothing.
const templateTokenizer = `{"version":"1.0","added_tokens":[{"id":1,"content":"<s>","special":true}],
	"model":{"type":"BPE","vocab":{"a":0,"<s>":1},"merges":[]}}`

// toolTemplate has what published templates that take tools have: a macro, a namespace,
// the test for the key tool_calls, tojson, the neighbours of a message.
const toolTemplate = `{%- macro describe(t) -%}
{{ t.name }}({{ t.parameters.properties | default({}) | list | join(", ") }}){% if t.description %}: {{ t.description | trim }}{% endif %}
{%- endmacro -%}
{{- bos_token }}
{%- set ns = namespace(system="") %}
{%- for m in messages if m.role == "system" %}{% set ns.system = ns.system ~ m.content %}{% endfor %}
{%- if tools is not none or ns.system %}
<system>{{ ns.system }}
    {%- for t in tools %}
{{ loop.index }}. {{ describe(t.function) }} {{ t | tojson }}
    {%- endfor %}</system>
{%- endif %}
{%- for m in messages if m.role != "system" %}
    {%- if m.role == "tool" and not loop.previtem is undefined and loop.previtem.role != "tool" %}{{ "\n<results>" }}{% endif %}
    {%- if 'tool_calls' in m %}
        {%- for c in m.tool_calls %}
{{ "<call>" ~ c.function.name ~ " " ~ (c.function.arguments | tojson(indent=1)) ~ " " ~ c.id[-4:] ~ "</call>" }}
        {%- endfor %}
    {%- else %}
<{{ m.role }}{{ " " ~ m.tool_call_id if m.tool_call_id }}>{{ m.content }}</{{ m.role }}>
    {%- endif %}
{%- endfor %}
{%- for d in documents or [] %}[{{ d.title }}]{% endfor %}
{%- if add_generation_prompt %}{{ "\n<assistant>" }}{% if enable_thinking is defined and not enable_thinking %}<no/>{% endif %}{% endif %}`

// The text is what Python's Jinja makes of the template, set up as Hugging Face does.
func TestToolsAreRendered(t *testing.T) {
	m := Model{Vocab: 2}
	if err := m.ReadText(fstest.MapFS{
		"tokenizer.json":        {Data: []byte(templateTokenizer)},
		"tokenizer_config.json": {Data: []byte(`{"bos_token":"<s>"}`)},
		"chat_template.jinja":   {Data: []byte(toolTemplate)},
	}); err != nil {
		t.Fatal(err)
	}
	if m.ToolFormat != toolcall.Unknown || m.TokenizerConfig["chat_template"] != toolTemplate {
		t.Errorf("format %v, chat_template %v", m.ToolFormat, m.TokenizerConfig["chat_template"])
	}
	definition := `{"type": "function", "function": {"name": "f", "description": " adds <&> ", "parameters": {"type": "object", "properties": {"z": {"type": "number"}, "a": {"type": "string"}}}}}`
	chat := Chat{
		Messages: []Message{
			{Role: "system", Content: "Be <brief>."}, {Role: "user", Content: "더해"},
			{Role: "assistant", ToolCalls: []ToolCall{{ID: "call_0123", Name: "f", Arguments: `{"z": 1.0, "a": "둘 \"'"}`}, {ID: "call_4567", Name: "g", Arguments: ""}}},
			{Role: "tool", Content: "3", ToolCallID: "call_0123"}, {Role: "tool", Content: "4"},
		},
		Tools:     []Tool{{Tool: toolcall.Tool{Name: "f"}, Definition: json.RawMessage(definition)}},
		Documents: json.RawMessage(`[{"title": "D"}]`), Args: json.RawMessage(`{"enable_thinking": false}`),
	}
	got, err := m.Template.Render(chat, true)
	want := "<s><system>Be <brief>.1. f(z, a): adds <&> " + definition + "</system><user>더해</user>" +
		"<call>f {\n \"z\": 1.0,\n \"a\": \"둘 \\\"'\"\n} 0123</call><call>g {} 4567</call>\n<results><tool call_0123>3</tool><tool>4</tool>[D]\n<assistant><no/>"
	if err != nil || got != want {
		t.Errorf("%v\nhave %q\nwant %q", err, got, want)
	}
	got, err = m.Template.Render(Chat{Messages: chat.Messages[1:2]}, false)
	if want := "<s><user>더해</user>"; err != nil || got != want {
		t.Errorf("%v\nhave %q\nwant %q", err, got, want)
	}
}
