package chattemplate

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/sullae/sullae/coordinator/tokenizer"
)

func exaoneTemplate(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/exaone3.jinja")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestGoldenChat(t *testing.T) {
	tpl, err := Parse("exaone3", exaoneTemplate(t))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load("../tokenizer/testdata")
	if err != nil {
		t.Fatal(err)
	}
	if tok.ChatTemplate() != exaoneTemplate(t) {
		t.Error("the tokenizer's folder has another template")
	}
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	var cases []struct {
		Name       string
		Messages   json.RawMessage
		Generation bool `json:"add_generation_prompt"`
		Rendered   string
		IDs        []int32
	}
	loadJSON(t, "golden_chat.json", &cases)
	if len(cases) != 15 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		ids, err := tok.Encode(c.Rendered, tokenizer.EncodeOptions{ParseSpecial: true})
		if err != nil || !slices.Equal(ids, c.IDs) {
			t.Errorf("%s: ids\n have %v %v\n want %v", c.Name, ids, err, c.IDs)
		}
		var structs []message
		var goMaps []map[string]any
		var maps []*Map
		for _, v := range []any{&structs, &goMaps, &maps} {
			if err := json.Unmarshal(c.Messages, v); err != nil {
				t.Fatal(err)
			}
		}
		for _, messages := range []any{structs, goMaps, maps, c.Messages} {
			got, err := tpl.Render(Context{Messages: messages, AddGenerationPrompt: c.Generation})
			if err != nil || got != c.Rendered {
				t.Errorf("%s, from %T:\n have %q %v\n want %q", c.Name, messages, got, err, c.Rendered)
			}
		}
	}
}
