package grammar

import (
	"strings"
	"testing"
)

func TestTagged(t *testing.T) {
	calls := Tagged{
		Prefix: "<c>", Separator: "</c>\n<c>", Suffix: "</c>", Max: 3,
		Kinds: []TaggedKind{
			{Begin: `{"name": "f", "arguments": `, Schema: []byte(`{"type":"object","properties":{"n":{"$ref":"#/$defs/n"}},"required":["n"],"$defs":{"n":{"type":"integer"}}}`), End: "}"},
			{Begin: `{"name": "go", "arguments": `, Schema: []byte(`{"type":"object","properties":{"n":{"$ref":"#/$defs/n"}},"required":["n"],"$defs":{"n":{"type":"boolean"}}}`), End: "}"},
		},
	}
	g, err := CompileTagged(calls, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, gof := `{"name": "f", "arguments": {"n": 12}}`, `{"name": "go", "arguments": {"n": true}}`
	bytes := make(tokenList, 257)
	for b := range 256 {
		bytes[b] = []byte{byte(b)}
	}
	v := NewVocabulary(bytes, []int32{256})
	for text, want := range map[string]bool{
		"<c>" + f + "</c>":   true,
		"<c>" + gof + "</c>": true,
		"<c>" + f + "</c>\n<c>" + gof + "</c>\n<c>" + f + "</c>": true,
		strings.Repeat("<c>"+f+"</c>\n", 3) + "<c>" + f + "</c>": false, // one too many
		"<c>" + strings.Replace(f, "12", "true", 1) + "</c>":     false, // the other's schema
		"<c></c>": false,
		f:         false,
	} {
		m := g.Start(v)
		ok := true
		for _, b := range []byte(text) {
			if ok = m.Accept(int32(b)); !ok {
				break
			}
		}
		if ok = ok && m.Accept(256); ok != want {
			t.Errorf("%s: %v, want %v", text, ok, want)
		}
	}
	calls.Kinds[1].Schema = []byte(`{"type":"object","properties":{"n":{"nope":1}}}`)
	if _, err := CompileTagged(calls, Options{}); err == nil || !strings.Contains(err.Error(), "#/1/properties/n/nope") {
		t.Errorf("error %v does not name the place", err)
	}
}
